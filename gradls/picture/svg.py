"""A picture as SVG."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from gradls.picture.layout import HEIGHT, Layout, Route
from gradls.picture.model import Box, Picture, Spot
from gradls.syntax.text import visible

UriOf = Callable[[str], str]
"""Gives the URI of a path."""

STYLE = """\
.picture { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.picture rect { fill: #ffffff; stroke: #57606a; stroke-width: 1.5; }
.picture text { fill: #1f2328; text-anchor: middle; }
.picture .label { font-size: 13px; font-weight: 600; }
.picture .note { font-size: 11px; fill: #57606a; }
.picture .reached rect { fill: #e6f6ea; stroke: #1a7f37; }
.picture .parameters rect { stroke-width: 2.5; }
.picture .none rect, .picture .frozen rect, .picture .elsewhere rect,
.picture .untrained rect { fill: #f0f1f3; stroke-dasharray: 5 3; }
.picture .unknown rect { stroke-dasharray: 2 3; }
.picture .cut rect { fill: #fff5f4; stroke: #cf222e; stroke-dasharray: 5 3; }
.picture .lost rect, .picture .unused rect { fill: #ffe1de; stroke: #cf222e; stroke-width: 2.5; }
.picture .cut.lost rect { stroke-dasharray: none; stroke-width: 3; }
.picture .cut .note, .picture .lost .note, .picture .unused .note { fill: #a40e26; }
.picture .reached .note { fill: #116329; }
.picture .end rect { fill: #1f2328; stroke: #1f2328; stroke-dasharray: none; }
.picture .end text { fill: #ffffff; }
.picture .operation.warned rect { stroke: #bf8700; stroke-width: 3; stroke-dasharray: none; }
.picture path { fill: none; stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 5 4; }
.picture path.yes { stroke: #1a7f37; stroke-width: 2; stroke-dasharray: none; }
.picture path.unknown { stroke-dasharray: 2 4; }
.picture marker path { fill: #8c959f; stroke: none; }
.picture marker path.yes { fill: #1a7f37; }
.picture a { cursor: pointer; }
.picture a:hover rect, .picture a:focus rect, .picture a:target rect { stroke: #0969da; stroke-width: 4; }
.picture a:focus { outline: none; }
@media (prefers-color-scheme: dark) {
.picture rect { fill: #161b22; stroke: #9198a1; }
.picture text { fill: #f0f6fc; }
.picture .note { fill: #b1bac4; }
.picture .reached rect { fill: #0f2d1a; stroke: #3fb950; }
.picture .none rect, .picture .frozen rect, .picture .elsewhere rect,
.picture .untrained rect { fill: #22272e; }
.picture .cut rect { fill: #2a1519; stroke: #ff7b72; }
.picture .lost rect, .picture .unused rect { fill: #4a1a1f; stroke: #ff7b72; }
.picture .cut .note, .picture .lost .note, .picture .unused .note { fill: #ffb3ad; }
.picture .reached .note { fill: #7ee787; }
.picture .end rect { fill: #f0f6fc; stroke: #f0f6fc; }
.picture .end text { fill: #0d1117; }
.picture path.yes { stroke: #3fb950; }
.picture marker path.yes { fill: #3fb950; }
}
"""


def safe(text: str) -> str:
    """Text for XML and HTML: escaped, without what neither allows or what changes the order in which it is shown."""
    return escape("".join(each if _is_allowed(ord(each)) else "\ufffd" for each in visible(text)))


def _is_allowed(code: int) -> bool:
    return code in (9, 10, 13) or 32 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code not in (0xFFFE, 0xFFFF)


def svg(picture: Picture, layout: Layout, uri_of: UriOf, *, alone: bool = True) -> str:
    """The picture as an `<svg>` element: with `alone`, with a style and links of its own, for a file; otherwise for an
    HTML page that has `STYLE`, with links to `#about-ID` there."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="group" aria-label="{safe(picture.title)}" '
        f'viewBox="0 0 {layout.width:g} {layout.height:g}" width="{layout.width:g}" height="{layout.height:g}">'
    ]
    if alone:
        lines.append(f"<title>{safe(picture.title)}</title>")
        lines.append(f"<desc>{safe(' '.join(picture.summary))}</desc>")
        lines.append(f"<style>\n{STYLE}svg {{ background: Canvas; color-scheme: light dark; }}\n</style>")
    lines += ["<defs>", *(_marker(kind) for kind in ("yes", "no", "unknown")), "</defs>"]
    for arrow, route in zip(picture.arrows, layout.routes, strict=True):
        kind = {True: "yes", False: "no", None: "unknown"}[arrow.gradient]
        lines.append(f'<path class="{kind}" d="{_way(route)}" marker-end="url(#end-{kind})"/>')
    lines += [_box(box, layout, uri_of, alone) for box in picture.boxes]
    lines.append("</svg>\n")
    return "\n".join(lines)


def _marker(kind: str) -> str:
    return (
        f'<marker id="end-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{kind}" d="M0 0L10 5L0 10z"/></marker>'
    )


def _way(route: Route) -> str:
    points = [f"{x:g} {y:g}" for x, y in route.points]
    if route.curved:
        curves = (" ".join(points[start : start + 3]) for start in range(1, len(points) - 2, 3))
        return f"M{points[0]}" + "".join(f"C{curve}" for curve in curves)
    return f"M{points[0]}" + "".join(f"L{point}" for point in points[1:])


def _box(box: Box, layout: Layout, uri_of: UriOf, alone: bool) -> str:
    (x, y), width = layout.middles[box.id], layout.widths[box.id]
    classes = " ".join(["box", box.kind, box.state, *(["warned"] if box.messages else [])])
    said = "\n".join(part for part in (f"{box.label}: {box.note}", box.text, *box.messages) if part)
    link = (file_link(box.spots[0], uri_of) if box.spots else "") if alone else f"#about-{box.id}"
    corner = 8 if box.kind in ("parameters", "input") else 3
    return (
        f'<a id="box-{box.id}" class="{classes}"{_href(link)}{data_of(box, uri_of)} aria-label="{safe(said)}">'
        f"<title>{safe(said)}</title>"
        f'<rect x="{x - width / 2:g}" y="{y - HEIGHT / 2:g}" width="{width:g}" height="{HEIGHT:g}" rx="{corner}"/>'
        f'<text class="label" x="{x:g}" y="{y - 3:g}">{safe(box.label)}</text>'
        f'<text class="note" x="{x:g}" y="{y + 14:g}">{safe(box.note)}</text></a>'
    )


def _href(link: str) -> str:
    return f' href="{safe(link)}"' if link else ' tabindex="0"'


def file_link(spot: Spot, uri_of: UriOf) -> str:
    """The address of a place, or nothing if it is in no file: other schemes are not to be followed."""
    uri = uri_of(spot.path)
    place = f"#L{spot.span.line}" if spot.cell is None else ""  # cells have no addresses
    return f"{uri}{place}" if uri.startswith("file:") else ""


def data_of(box: Box, uri_of: UriOf) -> str:
    """Attributes that tell an editor where a box leads: a URI, lines and columns from 1 in code points, and the cell of
    a notebook that lines count in."""
    if not box.spots:
        return ""
    spot = box.spots[0]
    span = spot.span
    cell, line = spot.cell or (0, span.line)
    inside = f' data-cell="{cell}"' if cell else ""
    return (
        f' data-uri="{safe(uri_of(spot.path))}"{inside} data-line="{line}" data-column="{span.column}" '
        f'data-end-line="{line + span.end_line - span.line}" data-end-column="{span.end_column}"'
    )
