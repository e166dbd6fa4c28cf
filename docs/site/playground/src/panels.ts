// What stands beside the editor: the findings with their stories and fixes, the tensors, the gradient picture.
import type { Checked, Finding, Picture, Range, Tensor } from './protocol';
import { button, element, words } from './words';

export interface Calls {
  goTo(range: Range): void;
  goToLine(line: number): void;
  fix(finding: number, fix: number): void;
  picture(line: number): void;
}

const REQUIRES = new Map<boolean | null, string>([[true, 'requires grad'], [false, 'no'], [null, 'unknown']]);
const LEAF = new Map<boolean | null, string>([[true, 'leaf'], [false, 'no'], [null, 'unknown']]);

export function findings(checked: Checked, rules: URL, calls: Calls): HTMLElement[] {
  const problems = checked.problems.map(({ line, message }) =>
    element('article', 'finding problem', button(`Go to line ${line}`, () => { calls.goToLine(line); }, `line ${line}`), ` ${message}`));
  const found = checked.findings.map((each, index) => finding(each, index, rules, calls));
  return problems.length || found.length ? [...problems, ...found] : [element('p', 'nothing', 'No findings.')];
}

function finding(each: Finding, index: number, rules: URL, calls: Calls): HTMLElement {
  const rule = element('a', '', `${each.code} ${each.name}`);
  rule.href = new URL(`${each.code}/`, rules).href;
  rule.target = '_blank';
  const line = button(`Go to line ${each.line}`, () => { calls.goTo(each); }, `line ${each.line}`);
  const head = element('p', 'head', element('span', `severity ${each.severity}`, each.severity), ' ', rule, ' ', line);
  const story = element('ol', 'story', ...each.story.map((step) =>
    element('li', '', button(`Go to line ${step.line}`, () => { calls.goTo(step); }, `line ${step.line}`), ' ', ...words(step.message))));
  const fixes = each.fixes.map((fix, number) =>
    button(fix.safety === 'safe' ? 'Safe' : 'Suggested: read what it does', () => { calls.fix(index, number); }, 'Fix: ', ...words(fix.title)));
  return element('article', `finding ${each.severity}`, head, element('p', '', ...words(each.message)),
    ...(story.children.length ? [story] : []), ...(fixes.length ? [element('p', 'fixes', ...fixes)] : []));
}

export function tensors(checked: Checked, calls: Calls): HTMLElement[] {
  if (!checked.tensors.length) {
    return [element('p', 'nothing', 'No tensors are known in this program.')];
  }
  const head = element('tr', '', ...['line', 'expression', 'gradient', 'dtype', 'leaf'].map((each) => element('th', '', each)));
  const rows = checked.tensors.map((tensor) => row(tensor, calls));
  return [element('table', 'tensors', element('thead', '', head), element('tbody', '', ...rows))];
}

function row(tensor: Tensor, calls: Calls): HTMLElement {
  const place = button(`Go to line ${tensor.line}`, () => { calls.goTo(tensor); }, String(tensor.line));
  const requires = REQUIRES.get(tensor.requiresGrad) ?? '';
  return element('tr', tensor.requiresGrad ? 'with-gradient' : '', element('td', '', place),
    element('td', '', element('code', '', tensor.code)), element('td', '', requires),
    element('td', '', tensor.dtype ?? 'unknown'), element('td', '', LEAF.get(tensor.leaf) ?? ''));
}

/** The lines that a picture can be drawn of. */
export function pictures(checked: Checked, line: number, calls: Calls): HTMLElement {
  const lines = checked.lenses.filter((lens) => lens.kind === 'backward');
  return element('p', 'choices', ...lines.map((lens) => {
    const made = button(lens.title, () => { calls.picture(lens.line); }, `line ${lens.line}: ${lens.title}`);
    made.setAttribute('aria-pressed', String(lens.line === line));
    return made;
  }));
}

export function picture(drawn: Picture, calls: Calls): HTMLElement[] {
  if ('reason' in drawn) {
    return [element('p', 'nothing', `No picture: ${drawn.reason}`)];
  }
  const svg = new DOMParser().parseFromString(drawn.svg, 'image/svg+xml').documentElement;
  for (const box of svg.querySelectorAll('a')) {
    const line = Number(box.getAttribute('data-line'));
    box.removeAttribute('href');
    if (line) {
      box.setAttribute('tabindex', '0');
      box.addEventListener('click', () => { calls.goToLine(line); });
      box.addEventListener('keydown', (event) => {
        if (event.key === 'Enter') {
          calls.goToLine(line);
        }
      });
    }
  }
  const figure = element('figure', 'drawing');
  figure.append(document.adoptNode(svg));
  return [...drawn.summary.map((sentence) => element('p', '', ...words(sentence))), figure];
}
