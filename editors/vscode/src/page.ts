// The gradient picture as a page for a webview: what the server has drawn, in the colours of the editor, with a script
// that says which box or link was clicked on. Knows nothing of VS Code.

const STYLE = `
body { background: var(--vscode-editor-background); color: var(--vscode-editor-foreground);
  font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); padding: 0; }
header { border-color: var(--vscode-panel-border); }
a { color: var(--vscode-textLink-foreground); }
code { background: none; color: inherit; font-family: var(--vscode-editor-font-family); }
li.shown { background: var(--vscode-editor-findMatchHighlightBackground); }
.picture a.shown rect { stroke: var(--vscode-focusBorder); stroke-width: 4; }
`;

const SCRIPT = `
const editor = acquireVsCodeApi();
let shown = [];
document.addEventListener('click', (event) => {
  const link = event.target.closest('a');
  if (!link) return;
  const isBox = link.id.startsWith('box-');
  const item = isBox ? document.getElementById('about-' + link.id.slice(4)) : link.closest('li');
  const isPlace = (link.getAttribute('href') || '').startsWith('file:');
  if (!isBox && !isPlace) return;
  event.preventDefault();
  event.stopPropagation();
  shown.forEach((each) => each.classList.remove('shown'));
  shown = [item, document.getElementById('box-' + item.id.slice(6))];
  shown.forEach((each) => each.classList.add('shown'));
  const isFirst = isBox || link === item.querySelector('a[href^="file:"]');
  editor.postMessage(isFirst ? { box: item.id.slice(6) } : { href: link.getAttribute('href') });
}, true);
`;

/** The page for `html`, a whole document from the server. `nonce` must be new each time. */
export function pageOf(html: string, nonce: string, isDark: boolean): string {
  const style = between(html, '<style>', '</style>');
  // What comes from code is escaped in it.
  const body = between(html, '<body>', '</body>');
  const title = between(html, '<title>', '</title>');
  // The page follows the theme of the editor, which need not be that of the system.
  const themed = style.replaceAll('(prefers-color-scheme: dark)', isDark ? 'all' : 'not all');
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'`;
  return [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    `<title>${title}</title>`,
    `<style nonce="${nonce}">${themed}${STYLE}</style>`,
    '</head>',
    `<body>${body}<script nonce="${nonce}">${SCRIPT}</script></body>`,
    '</html>',
  ].join('\n');
}

/** The page that says why there is no picture. */
export function emptyPage(reason: string): string {
  const text = reason.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const policy = `default-src 'none'; base-uri 'none'; form-action 'none'`;
  return `<!DOCTYPE html><html lang="en"><head><meta http-equiv="Content-Security-Policy" content="${policy}"></head><body><p>${text}</p></body></html>`;
}

/** Whether `href` is a link of the page: other addresses are not to be opened. */
export function hasLink(html: string, href: string): boolean {
  return href.startsWith('file:') && html.includes(`href="${escaped(href)}"`);
}

function escaped(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' };
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign);
}

function between(text: string, start: string, end: string): string {
  const from = text.indexOf(start);
  const to = text.indexOf(end, from);
  return from < 0 || to < 0 ? '' : text.slice(from + start.length, to);
}
