"""What goes to the worker and what comes back from it: plain data, for trees are edited where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gradls.flow.names import Question
    from gradls.syntax.cells import Cells
    from gradls.workspace.config import Problem
    from gradls.workspace.project import Answers


class Outdated(Exception):
    """What was asked for belongs to a text that is no more."""


class NameResolver(Protocol):
    """Says what imported names are: what it knows at once, the rest when asked to find out."""

    def names_for(self, path: str) -> Answers: ...

    def resolve_now(self, questions: Iterable[Question], near: str) -> bool: ...

    def changed(self, path: str) -> Mapping[str, set[Question]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Snapshot:
    """A document at one moment. `version` is the client's, `revision` the document's own. `cells` are those of a
    notebook."""

    label: str
    uri: str
    version: int | None
    revision: int
    lines: list[str]
    cells: Cells | None = None


@dataclass(frozen=True)
class Analysis:
    """What came of one snapshot.

    `diagnostics` is the protocol's list as JSON, `message` the notification with it. `resolver` can answer `questions`;
    `problems` are those of the configuration; `affected` are the labels of the open documents that import this one,
    where its text is another than it was.
    """

    diagnostics: str
    message: bytes
    questions: frozenset[Question]
    resolver: NameResolver | None
    problems: Sequence[Problem]
    affected: Sequence[str]
