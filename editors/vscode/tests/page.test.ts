import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyPage, hasLink, pageOf } from '../src/page';

const HTML = `<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy" content="default-src *">
<title>Gradient of loss</title><style>p { color: red; } @media (prefers-color-scheme: dark) { p { color: blue; } }</style></head>
<body><svg><title>a box</title></svg><ol><li id="about-1"><a href="file:///a%20b/x.py?one&amp;two#L3">x.py:3</a></li></ol><script>alert(1)</script></body></html>`;

test('nothing runs and nothing is styled without the nonce', () => {
  const page = pageOf(HTML, 'NONCE', true);
  assert.match(page, /content="default-src 'none'; style-src 'nonce-NONCE'; script-src 'nonce-NONCE'; base-uri 'none'; form-action 'none'"/);
  assert.equal(page.match(/Content-Security-Policy/g)?.length, 1);
  assert.equal(page.match(/<style nonce="NONCE">/g)?.length, 1);
  assert.equal(page.match(/<script nonce="NONCE">/g)?.length, 1);
  assert.equal(page.match(/<li /g)?.length, 1);
});

test('the colours are those of the theme of the editor', () => {
  assert.match(pageOf(HTML, 'N', true), /@media all/);
  assert.match(pageOf(HTML, 'N', false), /@media not all/);
});

test('only links of the page are followed', () => {
  assert.ok(hasLink(HTML, 'file:///a%20b/x.py?one&two#L3'));
  assert.ok(!hasLink(HTML, 'file:///etc/passwd'));
  assert.ok(!hasLink('<a href="https://example.com">', 'https://example.com'));
});

test('a reason is text, not markup', () => {
  assert.match(emptyPage('<img src=x onerror="f()">'), /&#60;img src=x onerror=&#34;f\(\)&#34;&#62;/);
});
