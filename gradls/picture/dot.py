"""A picture in the language of Graphviz, for those who want to lay it out or change it themselves."""

from __future__ import annotations

from gradls.picture.model import Box, Picture

_FILLS = {"reached": "#e6f6ea", "lost": "#ffe1de", "unused": "#ffe1de"}
_ARROWS = {True: 'color="#1a7f37"', False: 'color="#8c959f" style=dashed', None: 'color="#8c959f" style=dotted'}


def dot(picture: Picture) -> str:
    """The text of a `.dot` file."""
    return "\n".join(
        [
            "digraph gradient {",
            f"label={_quoted(picture.title)}; labelloc=t;",
            'node [shape=box fontname="sans-serif" fontsize=11 style=filled fillcolor="#ffffff"];',
            *(f"{box.id} [{_attributes(box)}];" for box in picture.boxes),
            *(f"{arrow.start} -> {arrow.end} [{_ARROWS[arrow.gradient]}];" for arrow in picture.arrows),
            "}",
            "",
        ]
    )


def _attributes(box: Box) -> str:
    found = [f"label={_quoted(box.label, box.note)}", f"tooltip={_quoted(box.text)}"]
    if box.kind == "cut" or box.state in ("lost", "unused"):
        found.append('color="#cf222e" penwidth=2')
    elif box.state == "reached":
        found.append('color="#1a7f37"')
    elif box.state in ("unknown", "none", "frozen", "elsewhere", "untrained"):
        found.append('style="filled,dashed"')
    found.append(f'fillcolor="{_FILLS.get(box.state, "#ffffff")}"')
    return " ".join(found)


def _quoted(*lines: str) -> str:
    """A string of DOT. Backslashes begin escapes, so they are doubled."""
    clean = ("".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines)
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in clean) + '"'
