"""What a rule reports."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gradls.syntax.source import Source, Span
from gradls.syntax.text import visible


class Severity(str, Enum):
    """What happens: ERROR, running it raises; WARNING, it runs and trains wrongly; INFORMATION, true under a condition
    that the message names, or legal but commonly not meant; HINT, taste."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    HINT = "hint"


class Tag(str, Enum):
    """How code that a rule reports may be shown: UNNECESSARY has no effect, DEPRECATED is an old spelling."""

    UNNECESSARY = "unnecessary"
    DEPRECATED = "deprecated"


class Safety(str, Enum):
    """SAFE fixes keep the meaning or are clearly intended, and may run in fix-all; SUGGESTED ones want a reader."""

    SAFE = "safe"
    SUGGESTED = "suggested"


class Place(NamedTuple):
    """A node of a source's tree."""

    source: Source
    node: ast.AST

    @property
    def span(self) -> Span:
        return self.source.span(self.node)


class Step(NamedTuple):
    """One link of the story that a finding tells."""

    place: Place
    message: str


class TextEdit(NamedTuple):
    """Replace `span` of the file `path` by `text`."""

    path: str
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that mends a finding. `build` makes the edits when they are asked for; none means that it cannot."""

    title: str
    safety: Safety
    build: Callable[[], Sequence[TextEdit]]

    def __post_init__(self) -> None:
        if not self.title.isprintable():
            object.__setattr__(self, "title", visible(self.title))


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake, where it is, the story of it in order, and what to write instead. What it says can be shown anywhere:
    no character in it does anything but be seen."""

    code: str
    name: str
    severity: Severity
    place: Place
    message: str
    story: tuple[Step, ...] = ()
    fixes: tuple[Fix, ...] = ()

    def __post_init__(self) -> None:
        if not self.message.isprintable():
            object.__setattr__(self, "message", visible(self.message))
        if not all(step.message.isprintable() for step in self.story):
            shown = tuple(step._replace(message=visible(step.message)) for step in self.story)
            object.__setattr__(self, "story", shown)

    @property
    def span(self) -> Span:
        return self.place.span

    @property
    def path(self) -> str:
        return self.place.source.path
