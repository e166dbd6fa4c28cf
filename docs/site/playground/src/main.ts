// The playground: a program on one side, what gradls says about it on the other. All of it happens in the browser.
import { Editor } from './editor';
import { Engine } from './engine';
import { read, written } from './link';
import { findings, picture, pictures, tensors } from './panels';
import type { Answers, Checked } from './protocol';
import { button, element } from './words';

const NOTHING: Checked = { findings: [], hints: [], lenses: [], tensors: [], problems: [] };
const PAUSE = 200; // milliseconds without a keystroke

interface Sample {
  title: string;
  code: string;
}

class Playground {
  private readonly status = element('p', 'status');
  private readonly panel = element('div', 'panel');
  private readonly tabs = new Map<string, HTMLButtonElement>();
  private readonly hints = element('select', '');
  private readonly samples = element('select', '');
  private readonly editor: Editor;
  private readonly engine: Engine;
  private readonly calls = {
    changed: () => { this.changed(); },
    about: async (offset: number) => (this.isCurrent ? this.engine.ask('about', offset).catch(() => null) : null),
    fix: (finding: number, fix: number) => { void this.fix('fix', finding, fix); },
    picture: (line: number) => { void this.draw(line); },
    goTo: (range: { from: number; to: number }) => { this.editor.goTo(range); },
    goToLine: (line: number) => { this.editor.goToLine(line); },
  };
  private checked: Checked | undefined;
  private checkedText: string | undefined;
  private asking = false;
  private timer = 0;
  private tab = 'Findings';
  private line = 0;

  constructor(root: HTMLElement) {
    root.replaceChildren();
    const left = element('div', 'code');
    const bar = element('div', 'bar', this.samples, this.choice(),
      button('Make all safe fixes', () => { void this.fix('fix_all'); }), button('Copy a link to this program', () => { void this.share(); }, 'Share'));
    const tabs = element('div', 'tabs', ...['Findings', 'Tensors', 'Picture'].map((name) => this.tabButton(name)));
    tabs.setAttribute('role', 'tablist');
    this.status.setAttribute('role', 'status');
    this.panel.setAttribute('role', 'tabpanel');
    root.append(bar, left, element('div', 'said', tabs, this.status, this.panel));
    this.editor = new Editor(left, this.calls);
    this.engine = new Engine(new URL('worker.js', import.meta.url), (text, failed) => { this.tell(text, failed); });
  }

  async start(): Promise<void> {
    const given = await read(location.hash);
    const samples = (await (await fetch(new URL('samples.json', import.meta.url))).json()) as Sample[];
    this.samples.setAttribute('aria-label', 'Samples');
    this.samples.append(new Option('Samples', ''), ...samples.map(({ title }) => new Option(title, title)));
    this.samples.addEventListener('change', () => {
      const sample = samples.find(({ title }) => title === this.samples.value);
      if (sample) {
        this.editor.text = sample.code;
      }
    });
    window.addEventListener('hashchange', () => {
      void read(location.hash).then((code) => {
        if (code !== null) {
          this.editor.text = code;
        }
      });
    });
    if (given === null) {
      this.samples.value = samples[0]?.title ?? '';
    }
    this.editor.text = given ?? samples[0]?.code ?? '';
    void this.check();
  }

  private get isCurrent(): boolean {
    return this.checkedText === this.editor.text;
  }

  private choice(): HTMLElement {
    for (const [value, label] of [['cuts', 'Hints: lost gradients'], ['all', 'Hints: all gradients'], ['off', 'No hints']] as const) {
      this.hints.append(new Option(label, value));
    }
    this.hints.setAttribute('aria-label', 'Hints in the code');
    this.hints.addEventListener('change', () => {
      this.checkedText = undefined;
      void this.check();
    });
    return this.hints;
  }

  private tabButton(name: string): HTMLButtonElement {
    const made = button(name, () => { this.show(name); });
    made.setAttribute('role', 'tab');
    made.setAttribute('aria-selected', String(name === this.tab));
    this.tabs.set(name, made);
    return made;
  }

  private changed(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => { void this.check(); }, PAUSE);
  }

  /** Ask about the text that is there, one question at a time; whatever has changed meanwhile is asked about next. */
  private async check(): Promise<void> {
    if (this.asking) {
      return;
    }
    this.asking = true;
    try {
      while (!this.isCurrent) {
        const { text } = this.editor;
        const checked = await this.engine.ask('check', text, this.hints.value);
        if (text === this.editor.text) {
          this.checked = checked;
          this.checkedText = text;
          this.editor.show(checked);
          this.show(this.tab);
          this.tell('', false);
        }
      }
    } catch (error) {
      this.checked = undefined;
      this.editor.show(NOTHING);
      this.panel.replaceChildren();
      this.tell(`This could not be checked: ${said(error)}`, true);
    } finally {
      this.asking = false;
    }
  }

  private show(name: string): void {
    this.tab = name;
    for (const [each, made] of this.tabs) {
      made.setAttribute('aria-selected', String(each === name));
    }
    if (!this.checked) {
      return;
    }
    this.tabs.get('Findings')?.replaceChildren(`Findings (${this.checked.findings.length})`);
    if (name === 'Findings') {
      this.panel.replaceChildren(...findings(this.checked, new URL('../../rules/', import.meta.url), this.calls));
    } else if (name === 'Tensors') {
      this.panel.replaceChildren(...tensors(this.checked, this.calls));
    } else {
      const lines = this.checked.lenses.filter((lens) => lens.kind === 'backward').map((lens) => lens.line);
      void this.draw(lines.includes(this.line) ? this.line : (lines.at(-1) ?? 1));
    }
  }

  private async draw(line: number): Promise<void> {
    const { checked, checkedText } = this;
    if (!checked) {
      return;
    }
    if (this.tab !== 'Picture') {
      this.line = line;
      this.show('Picture');
      return;
    }
    this.line = line;
    const drawn = await this.answer('picture', line);
    if (drawn && this.tab === 'Picture' && this.line === line && checkedText === this.checkedText) {
      this.panel.replaceChildren(pictures(checked, line, this.calls), ...picture(drawn, this.calls));
    }
  }

  private async fix(ask: 'fix' | 'fix_all', ...which: number[]): Promise<void> {
    const { text } = this.editor;
    if (!this.isCurrent) {
      return; // what was clicked is about another text
    }
    const edits = await this.answer(ask, ...which);
    if (edits?.length && text === this.editor.text) {
      this.editor.edit(edits);
    } else if (edits !== undefined) {
      this.tell(ask === 'fix' ? 'This fix cannot be made here.' : 'There is no safe fix to make.', false);
    }
  }

  private async answer<A extends keyof Answers>(ask: A, ...given: number[]): Promise<Answers[A] | undefined> {
    try {
      return await this.engine.ask(ask, ...given);
    } catch (error) {
      this.tell(`This did not work: ${said(error)}`, true);
      this.checkedText = undefined; // Python may have been started anew
      return undefined;
    }
  }

  private async share(): Promise<void> {
    history.replaceState(null, '', await written(this.editor.text));
    try {
      await navigator.clipboard.writeText(location.href);
      this.tell('The link is in the clipboard. The program is in the link, and nowhere else.', false);
    } catch {
      this.tell('The link is in the address of this page.', false);
    }
  }

  private tell(text: string, failed: boolean): void {
    this.status.textContent = text;
    this.status.classList.toggle('failed', failed);
  }
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const root = document.getElementById('gradls-playground');
if (root) {
  if (typeof WebAssembly === 'object' && typeof Worker === 'function') {
    void new Playground(root).start();
  } else {
    root.textContent = 'This browser has no WebAssembly, or it is switched off: the playground needs it to run Python. '
      + 'On your own machine gradls needs no browser: see the installation.';
  }
}
