"""One version of a Python text, its tree, and positions in it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from gradls.syntax.parse import SyntaxProblem, parse
from gradls.syntax.text import split_lines

N = TypeVar("N", bound=ast.AST)
T = TypeVar("T")


class Span(NamedTuple):
    """A range of text. Lines and columns count from 1, columns in Unicode code points, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(slots=True, eq=False)
class Source:
    """A text that has been parsed.

    `path` is only a label here: this layer reads no files. `tree` is always a module; what could not be parsed is
    blank in it and listed in `problems`.
    """

    path: str
    text: str
    tree: ast.Module
    problems: tuple[SyntaxProblem, ...] = ()
    lines: list[str] = field(default_factory=list)
    _known: dict[tuple[object, ast.AST], Any] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, path: str = "<text>", previous: Source | None = None) -> Source:
        """Parse `text`; `previous`, an older version of it, helps to recover from what is being typed."""
        tree, problems = parse(text, previous)
        return cls(path, text, tree, tuple(problems), split_lines(text))

    @property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """For each node of the tree but the module, the node around it. Worked out when it is first asked for."""
        return self.once(_parents, self.tree)

    def once(self, work: Callable[[N], T], node: N) -> T:
        """`work(node)`, for a node of the tree, done once for as long as this text is there."""
        key = work, node
        if key not in self._known:
            self._known[key] = work(node)
        return self._known[key]

    def span(self, node: ast.AST) -> Span:
        """Where `node` stands. `ast` counts columns in UTF-8 bytes from 0; a span counts code points from 1."""
        line, end_line = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        return Span(
            line,
            self._column(line, node.col_offset),  # type: ignore[attr-defined]
            end_line,
            self._column(end_line, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def _column(self, line: int, byte_offset: int) -> int:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if text.isascii():
            return byte_offset + 1
        # Each code point has one byte that continues no other.
        return sum(byte & 0xC0 != 0x80 for byte in text.encode("utf-8", "surrogatepass")[:byte_offset]) + 1

    def segment(self, node: ast.AST) -> str:
        """The text of `node`."""
        line, column, end_line, end_column = self.span(node)
        if line == end_line:
            return self.lines[line - 1][column - 1 : end_column - 1]
        first = self.lines[line - 1][column - 1 :]
        last = self.lines[end_line - 1][: end_column - 1]
        return "".join([first, *self.lines[line : end_line - 1], last])


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
