"""The cells of a notebook as one Python module.

Its lines are those of the cells, in order, with a separator before and after each cell. What is no Python (magics,
shell lines, whole cells in other languages) is replaced line by line, so that every line of a cell is one of the module
and Python stands in the same columns in both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gradls.syntax.magics import masked
from gradls.syntax.separators import BLOCK_FOLLOWS, SEPARATOR
from gradls.syntax.source import Span
from gradls.syntax.text import first_code, indentation, split_lines


@dataclass(frozen=True)
class Cell:
    """A cell. `lines` are its lines in the module, `hidden` the indices of those that were replaced there."""

    text: str
    lines: tuple[str, ...]
    hidden: frozenset[int]

    @classmethod
    def read(cls, text: str, python: bool = True) -> Cell:
        """The cell with this text; without `python` there is nothing in it that is one's business."""
        lines = split_lines(text)
        lines, hidden = masked(lines) if python else (["\n"] * len(lines), list(range(len(lines))))
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += "\n"
        return cls(text, tuple(lines), frozenset(hidden))

    @cached_property
    def head(self) -> int:
        """How many lines at the start nothing may come before: those up to a cell magic."""
        first = next((index for index, line in enumerate(split_lines(self.text)) if line.strip()), 0)
        return first + 1 if self.text.lstrip().startswith("%%") else 0

    @cached_property
    def is_indented(self) -> bool:
        """Whether its first statement is indented."""
        first = first_code(self.lines)
        return first is not None and bool(indentation(self.lines[first]))


class CellEdit(NamedTuple):
    """Replace `span` of the text of the cell with this index by `text`."""

    cell: int
    span: Span
    text: str


class Cells:
    """The cells of a notebook at one moment. Cells are known by their indices, lines and columns count from 1."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = tuple(cells)
        self.lines: list[str] = []
        """Those of the module."""
        self._starts: list[int] = []
        for cell in self.cells:
            self.lines.append(BLOCK_FOLLOWS if cell.is_indented else SEPARATOR)
            self._starts.append(len(self.lines))
            self.lines += cell.lines
        self.lines.append(SEPARATOR)

    @property
    def text(self) -> str:
        """That of the module."""
        return "".join(self.lines)

    def line(self, cell: int, line: int) -> int:
        """The module's line for a line of a cell. What lies after the cell's last line is the one after it."""
        return self._starts[cell] + min(max(line, 1), len(self.cells[cell].lines) + 1)

    def place(self, line: int) -> tuple[int, int]:
        """The cell, and its line, that a line of the module is: the separator after a cell counts as the line after
        its last one. IndexError if there are no cells."""
        if not self.cells:
            raise IndexError("a notebook without cells has no lines")
        cell = max(bisect_right(self._starts, line - 1) - 1, 0)
        return cell, min(max(line - self._starts[cell], 1), len(self.cells[cell].lines) + 1)

    def edit(self, span: Span, text: str) -> CellEdit | None:
        """An edit of the module as one of the cell that it is in.

        None if it is not within one cell, or touches what is not as it stands in the cell.
        """
        if not self.cells or not 1 < span.line <= span.end_line <= len(self.lines):
            return None
        cell, line = self.place(span.line)
        until, end_line = self.place(span.end_line)
        here = self.cells[cell]
        last = end_line - (span.end_column == 1)
        after = len(here.lines) + 1
        if (line == after and span.column > 1) or (
            (end_line == after or end_line - 1 in here.hidden) and not _ends_well(span, text)
        ):
            return None
        if cell != until or line <= here.head or not here.hidden.isdisjoint(range(line - 1, last)):
            return None
        lines = split_lines(here.text)
        if end_line == after and (not lines or not lines[-1].endswith(("\n", "\r"))):
            return _at_the_end(cell, lines, Span(line, span.column, end_line, span.end_column), text)
        return CellEdit(cell, Span(line, span.column, end_line, span.end_column), text)


def _ends_well(span: Span, text: str) -> bool:
    """Whether an edit leaves the line that it ends on alone."""
    return span.end_column == 1 and (text.endswith("\n") or (not text and span.column == 1))


def _at_the_end(cell: int, lines: Sequence[str], span: Span, text: str) -> CellEdit:
    """An edit that ends on the line after the last one, which is not there without a line end."""
    line, column, last = span.line, span.column, len(lines)
    end = last, len(lines[-1]) + 1 if lines else 1
    text = text.removesuffix("\n")
    if line > last:
        text = f"\n{text}" if lines and text else text
        line, column = max(end[0], 1), end[1]
    elif not text and column == 1 and line > 1:
        line -= 1
        column = len(lines[line - 1].rstrip("\r\n")) + 1
    return CellEdit(cell, Span(line, column, max(end[0], 1), end[1]), text)
