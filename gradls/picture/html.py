"""A picture as one HTML file that needs nothing else: no script, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import os

from gradls.picture.layout import Layout
from gradls.picture.model import Box, Picture, Spot, plural
from gradls.picture.svg import STYLE, UriOf, data_of, file_link, safe, svg

_PAGE_STYLE = """\
:root { color-scheme: light dark; }
body { margin: 0; font: 14px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  background: #ffffff; color: #1f2328; }
header, main { padding: 12px 20px; }
header { border-bottom: 1px solid #d1d9e0; }
h1 { font-size: 18px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 12px 0 4px; }
p { margin: 2px 0; max-width: 80em; }
main { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
figure { margin: 0; max-width: 100%; overflow: auto; flex: 3 1 480px; }
main.wide { display: block; }
figure svg { max-width: 100%; height: auto; }
section { flex: 1 1 320px; max-width: 60em; }
ol { list-style: none; margin: 0; padding: 0; }
li { padding: 4px 8px; border-left: 4px solid #d1d9e0; margin: 0 0 6px; overflow-wrap: anywhere; }
li.reached { border-color: #1a7f37; }
li.cut, li.lost, li.unused { border-color: #cf222e; }
li:target { background: #fff8c5; }
li p.message { color: #7d4e00; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px; white-space: pre-wrap; }
a { color: #0969da; }
a:focus-visible, summary:focus-visible { outline: 3px solid #0969da; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; margin: 6px 0; }
dd { margin: 0; }
.picture a { text-decoration: none; }
@media (prefers-color-scheme: dark) {
body { background: #0d1117; color: #f0f6fc; }
header { border-color: #3d444d; }
li { border-color: #3d444d; }
li.reached { border-color: #3fb950; }
li.cut, li.lost, li.unused { border-color: #ff7b72; }
li:target { background: #3b2f00; }
li p.message { color: #e3b341; }
a { color: #4493f8; }
}
"""

_LEGEND = (
    ("✓", "the gradient arrives at these parameters (green)"),
    ("✗", "these parameters get no gradient (red)"),
    ("–", "these get none here: they are frozen, in no optimizer, or trained by another backward() (grey)"),
    ("?", "not known without running the code (dotted)"),
    ("✂", "a cut: no gradient passes (red; with a solid border if it costs parameters their gradient)"),
    ("⟶", "a value goes along an arrow; along a solid green one its gradient comes back, along a dashed one none does"),
)


WIDE = 900
"""The list stands below a picture that is wider than so many pixels, otherwise beside it."""


def html(picture: Picture, layout: Layout, uri_of: UriOf) -> str:
    """The page: the picture, and beside it what is in it as a list, to which the boxes lead."""
    style = STYLE + _PAGE_STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = safe(f"Gradient of {picture.title}")
    where = f"{os.path.basename(picture.spot.path)}, {_in_words(picture.spot)}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{title}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            "<header>",
            f"<h1>{title}</h1>",
            f"<p>{safe(where)}</p>",
            *(f"<p>{safe(sentence)}</p>" for sentence in picture.summary),
            "<details><summary>What the signs mean</summary><dl>",
            *(f"<dt>{sign}</dt><dd>{meaning}</dd>" for sign, meaning in _LEGEND),
            "</dl></details>",
            "</header>",
            f"<main{' class=wide' if layout.width > WIDE else ''}>",
            f"<figure>{svg(picture, layout, uri_of, alone=False)}</figure>",
            "<section>",
            "<h2>From the parameters to the loss</h2>",
            "<ol>",
            *(_item(box, uri_of) for box in picture.boxes),
            "</ol>",
            "</section>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _in_words(spot: Spot) -> str:
    return f"line {spot.span.line}" if spot.cell is None else f"cell {spot.cell[0]}, line {spot.cell[1]}"


def _item(box: Box, uri_of: UriOf) -> str:
    parts = [
        f'<li id="about-{box.id}" class="{box.kind} {box.state}"{data_of(box, uri_of)}>',
        f'<p><strong>{safe(box.label)}</strong> {safe(box.note)} <a href="#box-{box.id}">show</a></p>',
    ]
    if box.text:
        parts.append(f"<p><code>{safe(box.text)}</code></p>")
    parts += [f'<p class="message">{safe(message)}</p>' for message in box.messages]
    places = []
    for spot in box.spots:
        line = spot.span.line if spot.cell is None else ":".join(map(str, spot.cell))
        name = safe(f"{os.path.basename(spot.path)}:{line}")
        link = file_link(spot, uri_of)
        places.append(f'<a href="{safe(link)}">{name}</a>' if link else name)
    if places:
        parts.append(f"<p>{', '.join(places)}</p>")
    elif box.count > 1:
        parts.append(f"<p>{plural(box.count, 'part')}</p>")
    return "".join([*parts, "</li>"])
