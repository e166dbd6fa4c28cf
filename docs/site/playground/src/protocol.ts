// What the page and the worker tell each other. Places in the text are offsets as CodeMirror counts them; lines count
// from 1.

export interface Range {
  from: number;
  to: number;
}

export interface Step extends Range {
  line: number;
  message: string;
}

export interface Finding extends Range {
  line: number;
  severity: 'error' | 'warning' | 'information' | 'hint';
  code: string;
  name: string;
  message: string;
  story: Step[];
  fixes: { title: string; safety: 'safe' | 'suggested' }[];
}

export interface Hint {
  at: number;
  label: string;
  about: string;
}

export interface Lens {
  line: number;
  kind: 'backward' | 'step';
  title: string;
  details: string[];
}

export interface Tensor extends Range {
  line: number;
  code: string;
  requiresGrad: boolean | null;
  dtype: string | null;
  leaf: boolean | null;
}

export interface Checked {
  findings: Finding[];
  hints: Hint[];
  lenses: Lens[];
  tensors: Tensor[];
  problems: { line: number; message: string }[];
}

export interface Edit extends Range {
  insert: string;
}

export type About = (Range & { text: string }) | null;
export type Picture = { title: string; summary: string[]; svg: string } | { reason: string };

export interface Answers {
  check: Checked;
  fix: Edit[] | null;
  fix_all: Edit[];
  about: About;
  picture: Picture;
}

/** The name of a method of `Engine` in engine.py, and its arguments. */
export interface Question {
  id: number;
  ask: keyof Answers;
  with: (string | number)[];
}

export type Reply = { id: number; answer: string } | { id: number; failure: string } | { status: string };
