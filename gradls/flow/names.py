"""What the engine asks about names that the file in hand does not define, and what it is told.

The engine never waits: it looks an answer up, and where there is none it goes on with an unknown value and leaves the
question with the facts.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from gradls.syntax.source import Source


class Question(NamedTuple):
    """What is `name` of `module` (`from module import name`), or what does calling it give?

    `module` is written as in the import statement, with its leading dots if relative; `name` may be dotted, and is
    empty for the module itself. `called` asks for the value of `name()`.
    """

    module: str
    name: str
    called: bool


class Answer(NamedTuple):
    """`name` is a full name such as `torch.nn.modules.loss.CrossEntropyLoss`: of the class itself (`class`), of the
    class of which it is an instance (`instance`), of a function or of a module. `bases` are the full names of the base
    classes, nearest first, where known."""

    kind: Literal["class", "instance", "function", "module"]
    name: str
    bases: tuple[str, ...] = ()


class Names(Protocol):
    """What is known now about the names that one file imports."""

    def ask(self, question: Question) -> Answer | None: ...

    def find(self, module: str) -> ImportedFile | None:
        """The file of the program that `module` names, written as in an import statement of this file."""
        ...


class ImportedFile(Protocol):
    """A file of the program, and what is known about the names that it imports. It is read when it is looked into."""

    @property
    def path(self) -> str: ...

    @property
    def source(self) -> Source: ...

    @property
    def names(self) -> Names: ...


class NoNames:
    """Knows nothing."""

    def ask(self, question: Question) -> Answer | None:
        return None

    def find(self, module: str) -> ImportedFile | None:
        return None
