// The editor: squiggles, hints behind names, lenses above calls, and what is known of a tensor under the mouse.
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { python } from '@codemirror/lang-python';
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, lintGutter, setDiagnostics } from '@codemirror/lint';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import {
  Decoration, type DecorationSet, drawSelection, EditorView, highlightActiveLine, hoverTooltip, keymap, lineNumbers, WidgetType,
} from '@codemirror/view';
import { classHighlighter } from '@lezer/highlight';
import type { About, Checked, Edit, Finding, Range } from './protocol';
import { button, element, markdown, words } from './words';

export interface Calls {
  changed(): void;
  about(offset: number): Promise<About>;
  fix(finding: number, fix: number): void;
  picture(line: number): void;
}

const SEVERITIES = { error: 'error', warning: 'warning', information: 'info', hint: 'hint' } as const;

export class Editor {
  readonly view: EditorView;

  constructor(parent: HTMLElement, private readonly calls: Calls) {
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: '',
        extensions: [
          lineNumbers(), lintGutter(), history(), drawSelection(), highlightActiveLine(), indentOnInput(), bracketMatching(),
          indentUnit.of('    '), python(), syntaxHighlighting(classHighlighter),
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ 'aria-label': 'Python program', autocorrect: 'off', autocapitalize: 'off' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) {
              calls.changed();
            }
          }),
          shown,
          hoverTooltip((_, offset) => this.hover(offset)),
        ],
      }),
    });
  }

  get text(): string {
    return this.view.state.doc.toString().toWellFormed();
  }

  set text(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text }, selection: { anchor: 0 } });
  }

  /** Show what was found in the very text that is there. */
  show(checked: Checked): void {
    this.view.dispatch(setDiagnostics(this.view.state, checked.findings.map((each, index) => this.diagnostic(each, index))));
    this.view.dispatch({ effects: show.of(this.decorations(checked)) });
  }

  edit(edits: Edit[]): void {
    this.view.dispatch({ changes: edits, userEvent: 'input.fix' });
    this.view.focus();
  }

  goTo({ from, to }: Range): void {
    this.view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: 'center' }) });
    this.view.focus();
  }

  goToLine(line: number): void {
    const { from, to } = this.view.state.doc.line(Math.min(line, this.view.state.doc.lines));
    this.goTo({ from, to });
  }

  private diagnostic(finding: Finding, index: number): Diagnostic {
    return {
      from: finding.from,
      to: finding.to,
      severity: SEVERITIES[finding.severity],
      source: `${finding.code} ${finding.name}`,
      message: finding.message,
      renderMessage: () => element('span', '', ...words(finding.message)),
      actions: finding.fixes.map((fix, number) => ({ name: fix.title, apply: () => { this.calls.fix(index, number); } })),
    };
  }

  private decorations(checked: Checked): DecorationSet {
    const { doc } = this.view.state;
    const hints = checked.hints.map((hint) =>
      Decoration.widget({ widget: new Note(hint.label, hint.about), side: 1 }).range(hint.at));
    const lenses = checked.lenses.filter((lens) => lens.line <= doc.lines).map((lens) => {
      const line = doc.line(lens.line);
      const indent = line.text.length - line.text.trimStart().length;
      const draw = lens.kind === 'backward' ? () => { this.calls.picture(lens.line); } : null;
      const widget = new Lens(lens.title, lens.details.join('\n'), indent, draw);
      return Decoration.widget({ widget, side: -1, block: true }).range(line.from);
    });
    return Decoration.set([...hints, ...lenses], true);
  }

  private async hover(offset: number) {
    const { doc } = this.view.state;
    const about = await this.calls.about(offset);
    if (!about || doc !== this.view.state.doc) {
      return null;
    }
    return { pos: about.from, end: about.to, above: true, create: () => ({ dom: markdown(about.text) }) };
  }
}

class Note extends WidgetType {
  constructor(private readonly label: string, private readonly about: string) {
    super();
  }

  override eq(other: Note): boolean {
    return other.label === this.label && other.about === this.about;
  }

  toDOM(): HTMLElement {
    const made = element('span', this.label.includes(':') ? 'note cut' : 'note', this.label);
    made.title = this.about.replaceAll(/[*`]/g, '');
    return made;
  }
}

class Lens extends WidgetType {
  constructor(
    private readonly title: string, private readonly details: string, private readonly indent: number,
    private readonly draw: (() => void) | null,
  ) {
    super();
  }

  override eq(other: Lens): boolean {
    return other.title === this.title && other.details === this.details && other.indent === this.indent;
  }

  toDOM(): HTMLElement {
    const made = element('div', 'lens');
    made.style.paddingLeft = `calc(${this.indent}ch + 6px)`;
    made.title = this.details.replaceAll('`', '');
    made.append(this.draw ? button('Draw the gradient picture', this.draw, this.title) : this.title);
    return made;
  }
}

const show = StateEffect.define<DecorationSet>();
const shown = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(decorations, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(show)) {
        return effect.value;
      }
    }
    return decorations.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});
