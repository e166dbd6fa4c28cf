"""A picture as plain data: boxes, arrows between them, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gradls.syntax.source import Span
from gradls.syntax.text import visible

Kind = Literal["parameters", "operation", "cut", "input", "end"]
State = Literal["reached", "lost", "elsewhere", "untrained", "frozen", "unused", "unknown", "none"]
"""Of parameters: `reached`, the gradient arrives; `lost`, it does not, because of a cut; `elsewhere`, the same, but
another backward reaches them; `untrained`, the same, and no optimizer has them; `frozen`, they ask for none; `unused`,
the loss does not depend on them. Of everything: `unknown`; of others than parameters: `reached`, gradient flows through
it, or `none`. A cut is `lost` if it keeps parameters from their gradient, and otherwise `none`."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file: `path` as the session knows it, lines and columns from 1 in code points, ends exclusive. In a
    notebook `span` is that of the module which the cells are, and `cell` the number of the cell and the line in it."""

    path: str
    span: Span
    cell: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `label` is its first line and `note` the second, `text` the code that it stands for, `messages` what is
    found to be wrong there. `count` is the number of parameters, or of operations folded into it."""

    id: str
    kind: Kind
    state: State
    label: str
    note: str
    text: str = ""
    count: int = 1
    spots: tuple[Spot, ...] = ()
    messages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _show(self, "label", "note", "text", "messages")


@dataclass(frozen=True, slots=True)
class Arrow:
    """A value goes from the box `start` into the box `end`. `gradient`: does gradient come back along it? None means
    that it is not known."""

    start: str
    end: str
    gradient: bool | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn. `summary` are sentences; `spot` is the `backward()` or the function."""

    title: str
    summary: tuple[str, ...]
    spot: Spot
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def __post_init__(self) -> None:
        _show(self, "title", "summary")

    def to_json(self) -> dict[str, Any]:
        """For `--format json`."""
        return {
            "title": self.title,
            "summary": list(self.summary),
            **_spot(self.spot),
            "boxes": [
                {**asdict(box), "spots": [_spot(spot) for spot in box.spots], "messages": list(box.messages)}
                for box in self.boxes
            ],
            "arrows": [asdict(arrow) for arrow in self.arrows],
        }


def _show(of: Box | Picture, *names: str) -> None:
    """Put what can be shown anywhere in the place of what these attributes say."""
    for name in names:
        said = getattr(of, name)
        shown = visible(said) if isinstance(said, str) else tuple(map(visible, said))
        if shown != said:
            object.__setattr__(of, name, shown)


def _spot(spot: Spot) -> dict[str, Any]:
    found = {"path": spot.path, **spot.span._asdict()}
    if spot.cell is not None:
        cell, line = spot.cell
        found |= {"cell": cell, "line": line, "end_line": line + spot.span.end_line - spot.span.line}
    return found


def plural(count: int, word: str) -> str:
    """`1 parameter`, `2 parameters`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listed(words: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
