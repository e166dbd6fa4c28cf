"""Programs made at random: text with holes that are filled by sort, and blocks around statements."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

_HOLE = re.compile(r"<(\w)>")

Templates = dict[str, tuple[str, ...]]


class Program:
    """A program that grows. `names` are those that have a value where it stands, by sort: one letter for each."""

    def __init__(self, random: Random, expressions: Templates, deepest: int = 2) -> None:
        self.random = random
        self.expressions = expressions
        self.deepest = deepest
        self.names: dict[str, list[str]] = {sort: [] for sort in expressions}
        self.lines: list[str] = []
        self.indent = 0
        self.count = 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def name(self, sort: str) -> str:
        """A name that is new."""
        self.count += 1
        return f"{sort}{self.count}"

    def known(self, sort: str) -> str | None:
        """A name that has a value."""
        return self.random.choice(self.names[sort]) if self.names[sort] else None

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def fill(self, template: str, depth: int = 0) -> str:
        """A template with an expression in each of its holes: `<b>` is one of the sort b."""
        return _HOLE.sub(lambda hole: self.expression(hole[1], depth + 1), template)

    def expression(self, sort: str, depth: int = 0) -> str:
        known = self.known(sort)
        if known is not None and self.random.random() < 0.3:
            return known
        templates = self.expressions[sort]
        if depth >= self.deepest:
            templates = tuple(template for template in templates if not _HOLE.search(template))
        return self.fill(self.random.choice(templates), depth)

    def block(self, head: str, statement: Callable[[], None]) -> None:
        """`head` and one to three statements; names that are new in there are forgotten behind it."""
        self.write(head)
        before = {sort: list(names) for sort, names in self.names.items()}
        written = len(self.lines)
        self.indent += 1
        for _ in range(self.random.randint(1, 3)):
            statement()
        if len(self.lines) == written:
            self.write("pass")
        self.indent -= 1
        self.names = before

    def end_block(self, line: str) -> None:
        """One more line at the end of the block before."""
        self.lines.append("    " * (self.indent + 1) + line)
