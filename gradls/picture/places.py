"""Where things are, in boxes and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradls.flow.graph import At
from gradls.picture.model import Spot
from gradls.syntax.separators import cell_of
from gradls.syntax.source import Source


class Places:
    """Says where things are. `numbers` are those of the code cells of a notebook among all its cells, where these are
    known: who has the file sees cells, and not which of them are code."""

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        self._numbers = numbers

    def spot(self, at: At) -> Spot:
        """The place of something."""
        span = at.source.span(at.node)
        return Spot(at.source.path, span, self._cell(at.source, span.line))

    def lines(self, source: Source, lines: Iterable[int]) -> str:
        """ "line 3", "lines 3, 4", "lines 3–9"; in a notebook "cell 2 line 3", "cell 2 lines 3–9", "cells 2–4"."""
        wanted = sorted(set(lines))
        cells = [cell for line in wanted if (cell := self._cell(source, line)) is not None]
        if not cells:
            return _span("line", wanted)
        word = "cell" if self._numbers else "code cell"
        if cells[0][0] != cells[-1][0]:
            return _span(word, sorted({cell for cell, _ in cells}))
        return f"{word} {cells[0][0]} {_span('line', [line for _, line in cells])}"

    def _cell(self, source: Source, line: int) -> tuple[int, int] | None:
        found = cell_of(source, line)
        if found is None or not 1 <= found[0] <= len(self._numbers):
            return found
        return self._numbers[found[0] - 1], found[1]


def _span(word: str, numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"{word} {numbers[0]}"
    return f"{word}s {numbers[0]}{'–' if len(numbers) > 2 else ', '}{numbers[-1]}"
