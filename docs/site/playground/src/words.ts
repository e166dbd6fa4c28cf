// Text with code in backticks, as elements. What the visitor's program says never becomes HTML.
import { micromark } from 'micromark';

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K, classes: string, ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = classes;
  made.append(...children);
  return made;
}

export function words(text: string): (Node | string)[] {
  return text.split(/(`[^`]+`)/).filter(Boolean).map((part) =>
    part.startsWith('`') && part.length > 2 ? element('code', '', part.slice(1, -1)) : part);
}

// What a program says may stand in Markdown as well: it brings no links and no pictures, and HTML is shown as text.
const PLAIN = { disable: { null: ['labelStartImage', 'labelStartLink', 'autolink', 'definition'] } };

/** Markdown of gradls. */
export function markdown(text: string): HTMLElement {
  const made = element('div', 'about');
  made.innerHTML = micromark(text, { extensions: [PLAIN] });
  return made;
}

export function button(label: string, act: () => void, ...inside: (Node | string)[]): HTMLButtonElement {
  const made = element('button', '', ...(inside.length ? inside : [label]));
  made.type = 'button';
  made.title = label;
  made.addEventListener('click', act);
  return made;
}
