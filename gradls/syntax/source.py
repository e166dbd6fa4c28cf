"""A Python text, its tree, and positions in it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from gradls.syntax.edit import Edit, Editor
from gradls.syntax.gaps import statements
from gradls.syntax.index import Index
from gradls.syntax.layout import Layout
from gradls.syntax.parse import SyntaxProblem, recovered
from gradls.syntax.text import changed, readable, split_lines

N = TypeVar("N", bound=ast.AST)
T = TypeVar("T")


class Span(NamedTuple):
    """A range of text. Lines and columns count from 1, columns in Unicode code points, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Source:
    """A text that has been parsed, and that can be edited in place.

    `path` is only a label here: this layer reads no files. `tree` is always a module, and the same one for as long as
    the source is there; what could not be parsed is blank in it and listed in `problems`. `lines` are those of the
    text with their ends; nobody but `edit` changes them. `revision` grows with each edit that changed something.

    The line numbers that nodes have are nobody's business but this class's: ask `line` and `span`.
    """

    __slots__ = ("_layout", "_problems", "_text", "lines", "path", "revision", "tree")

    def __init__(self, path: str, lines: list[str], tree: ast.Module, problems: Sequence[SyntaxProblem]) -> None:
        self.path = path
        self.lines = lines
        self.tree = tree
        self.revision = 0
        self._problems: tuple[SyntaxProblem, ...] | None = tuple(problems)
        self._text: str | None = None
        self._layout: Layout | None = None

    @classmethod
    def read(cls, text: str, path: str = "<text>") -> Source:
        """Parse `text`. If it is broken, a `pass` stands in for each statement that does not parse."""
        lines = split_lines(text)
        clean = readable(lines, True)
        found = statements(clean, False, 1)
        problems: list[SyntaxProblem] = []
        if isinstance(found, SyntaxError):
            found, problems = recovered(clean, None, found)
        source = cls(path, lines, ast.Module(body=found, type_ignores=[]), problems)
        source._text = text
        return source

    def edit(self, lines: Sequence[str]) -> Edit:
        """Make `lines`, with their ends, the text; only what differs is parsed.

        Every node of what the edit left alone stays the same object, and so does its `body`. So do all nodes if the
        meaning is the same. Where the text is broken, what was there before stands in.
        """
        change = changed(self.lines, lines)
        if change.start == change.old_end == change.new_end:
            return Edit((), False)
        edit = Editor(self._laid_out()).edit(lines, change)
        self._text = None
        self._problems = None
        self.revision += 1
        return edit

    @property
    def text(self) -> str:
        """The whole text."""
        if self._text is None:
            self._text = "".join(self.lines)
        return self._text

    @property
    def problems(self) -> tuple[SyntaxProblem, ...]:
        """The syntax errors, in the order of the text."""
        if self._problems is None:
            broken = sorted(self._laid_out().broken, key=lambda unit: unit.at)
            self._problems = tuple(flaw.moved(unit.at) for unit in broken for flaw in unit.flaws)
        return self._problems

    def once(self, work: Callable[[N], T], node: N) -> T:
        """`work(node)`, for a node of the tree, done once until the node, or something in it, is edited."""
        known = self._laid_out().memo(node)
        key = work, node
        if key not in known:
            known[key] = work(node)
        return known[key]

    def index(self, work: Callable[[ast.AST], Iterable[tuple[str, T]]]) -> Index[T]:
        """By name, what `work` gives for the nodes of the tree; after an edit it is asked only about what is new."""
        return self._laid_out().index(work)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around `node`; None for the module and for nodes of other trees."""
        layout = self._laid_out()
        unit = layout.unit_of(node)
        if unit is not None:
            return layout.parents(unit).get(node)
        if node is self.tree:
            return None
        # Nothing tells where it stands: the parameters of a function that has none.
        return next((found for unit in layout.units if (found := layout.parents(unit).get(node))), None)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """What is around `node`, from inside out; the module comes last."""
        above = self.parent(node)
        while above is not None:
            yield above
            above = self.parent(above)

    def holds(self, node: ast.AST) -> bool:
        """Whether `node` is part of the tree."""
        return node is self.tree or self.parent(node) is not None

    def around(self, line: int) -> range:
        """The lines, as indices, of the part of the text that the 1-based `line` is in: a top-level statement, the
        header of a class or a member of it, with the blank and comment lines before it."""
        return self._laid_out().around(line - 1)

    def _laid_out(self) -> Layout:
        if self._layout is None:
            self._layout = Layout(self.lines, self.tree, self._problems or ())
        return self._layout

    def line(self, node: ast.AST) -> int:
        """The line on which `node` begins, from 1; 0 if it has none."""
        number = getattr(node, "lineno", 0)
        return self._line(number) if number else 0

    def _line(self, number: int) -> int:
        return number if self.revision == 0 or self._layout is None else self._layout.line(number)

    def span(self, node: ast.AST) -> Span:
        """Where `node` stands. `ast` counts columns in UTF-8 bytes from 0; a span counts code points from 1."""
        line, end_line = self._line(node.lineno), self._line(node.end_lineno)  # type: ignore[attr-defined]
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
