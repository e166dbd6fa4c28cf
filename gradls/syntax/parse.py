"""Text to tree, with recovery from syntax errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradls.syntax.edited import Past, gaps_by_history, left_out
from gradls.syntax.gaps import Gap, fill, keep_inside, said, statements
from gradls.syntax.recover import gaps_by_indentation

# So many lines of code are worth another look at which of them are broken.
_MUCH = 5


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A syntax error: the 1-based line and what Python says of it, and the lines that were left out for it."""

    line: int
    message: str
    gap: Gap | None = None

    def moved(self, lines: int) -> SyntaxProblem:
        """The same, so many lines further down."""
        gap = self.gap and self.gap._replace(start=self.gap.start + lines, end=self.gap.end + lines)
        return SyntaxProblem(self.line + lines, self.message, gap)


def recovered(
    lines: Sequence[str],
    past: Past | None,
    error: SyntaxError,
    margin: str = "",
    base: int = 1,
    nodes: list[ast.stmt] | None = None,
) -> tuple[list[ast.stmt], list[SyntaxProblem]]:
    """The statements of lines that do not parse for `error`, and the problems for which lines had to be left out.

    `past` is what they were before, itself parsed so: the older form of the lines that have changed since then stands
    in for them. Without it, a `pass` stands in for each statement that does not parse. All other nodes stand where
    they stand in the text. `margin` is what the lines of a block are indented by. The nodes, and `error`, know the
    first line as number `base`; the problems count from 1. `nodes` are those that `past` has: where nothing changes
    for them they are the statements.
    """
    line = min(max((error.lineno or base) - base + 1, 1), max(len(lines), 1))
    known = fill(past.lines, past.gaps) if past is not None and nodes is not None else None
    for gaps in _attempts(lines, past, margin):
        filled = fill(lines, gaps)
        if nodes is not None and filled == known:
            found: list[ast.stmt] | SyntaxError = nodes
        else:
            found = statements(filled, bool(margin), base)
        if isinstance(found, list):
            for gap in gaps:
                keep_inside(found, gap, lines, base)
            return found, _problems(line, said(error), gaps)
    return [], [SyntaxProblem(line, said(error))]


def _attempts(lines: Sequence[str], past: Past | None, margin: str) -> Iterator[list[Gap]]:
    by_indentation: list[Gap] | None = None
    for gaps in gaps_by_history(lines, past, bool(margin)) if past is not None else ():
        if left_out(lines, gaps) > _MUCH:
            by_indentation = by_indentation or gaps_by_indentation(lines, margin)
            if left_out(lines, by_indentation) < left_out(lines, gaps):
                yield by_indentation
        yield gaps
    yield by_indentation or gaps_by_indentation(lines, margin)


def _problems(line: int, message: str, gaps: Sequence[Gap]) -> list[SyntaxProblem]:
    """A problem a gap; Python's own words for the one that it stumbled over."""
    problems = []
    for gap in gaps:
        if gap.start < line <= gap.end:
            problems.append(SyntaxProblem(line, message, gap._replace(message=message)))
        else:
            problems.append(SyntaxProblem(gap.start + 1, gap.message, gap))
    return problems or [SyntaxProblem(line, message)]
