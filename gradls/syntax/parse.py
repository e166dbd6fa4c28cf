"""Text to tree, with recovery from syntax errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradls.syntax.edited import gaps_by_history, left_out
from gradls.syntax.gaps import Gap, fill, keep_inside, tree_of
from gradls.syntax.recover import gaps_by_indentation
from gradls.syntax.text import split_lines

if TYPE_CHECKING:
    from gradls.syntax.source import Source

# So many lines of code are worth another look at which of them are broken.
_MUCH = 5
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A syntax error: the 1-based line and what Python says of it, and the lines that were left out for it."""

    line: int
    message: str
    gap: Gap | None = None


def parse(text: str, previous: Source | None = None) -> tuple[ast.Module, list[SyntaxProblem]]:
    """The tree of `text`, and the problems for which lines had to be left out of it.

    `previous` is an older version of the text, itself parsed so: if the text does not parse, the older form of the
    lines that have changed since then stands in for them. Without it, a `pass` stands in for each statement that does
    not parse. All other nodes stand where they stand in `text`.
    """
    lines = split_lines(_readable(text))
    tree = tree_of(lines)
    if isinstance(tree, ast.Module):
        return tree, []
    error = tree
    for gaps in _attempts(lines, previous):
        tree = tree_of(fill(lines, gaps))
        if isinstance(tree, ast.Module):
            for gap in gaps:
                if any(line.strip() not in ("", "pass") for line in gap.lines):
                    keep_inside(tree, gap, lines)
            return tree, _problems(error, gaps)
    return ast.Module(body=[], type_ignores=[]), [SyntaxProblem(error.lineno or 1, error.msg)]


def _readable(text: str) -> str:
    """The text without what the parser cannot take, with the same number of UTF-8 bytes before everything else."""
    if text.startswith("\ufeff"):
        text = "\f\f\f" + text[1:]
    if _UNREADABLE.search(text):
        text = _UNREADABLE.sub(lambda found: " " if found[0] == "\x00" else "\ufffd", text)
    return text


def _attempts(lines: Sequence[str], previous: Source | None) -> Iterator[list[Gap]]:
    by_indentation: list[Gap] | None = None
    for gaps in gaps_by_history(lines, previous) if previous is not None else ():
        if left_out(lines, gaps) > _MUCH:
            by_indentation = by_indentation or gaps_by_indentation(lines)
            if left_out(lines, by_indentation) < left_out(lines, gaps):
                yield by_indentation
        yield gaps
    yield by_indentation or gaps_by_indentation(lines)


def _problems(error: SyntaxError, gaps: Sequence[Gap]) -> list[SyntaxProblem]:
    """A problem a gap; Python's own words for the one that it stumbled over."""
    line = error.lineno or 1
    problems = []
    for gap in gaps:
        if gap.start < line <= gap.end:
            gap = gap._replace(message=error.msg)
            problems.append(SyntaxProblem(line, error.msg, gap))
        else:
            problems.append(SyntaxProblem(gap.start + 1, gap.message, gap))
    return problems or [SyntaxProblem(line, error.msg)]
