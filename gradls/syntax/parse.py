"""Text to tree, with recovery from syntax errors."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradls.syntax.text import split_lines

if TYPE_CHECKING:
    from gradls.syntax.source import Source


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A syntax error: the 1-based line and what Python says of it."""

    line: int
    message: str


def parse(text: str, previous: Source | None = None) -> tuple[ast.Module, list[SyntaxProblem]]:
    """The tree of `text`, and the problems for which lines had to be left out of it."""
    del previous
    problems: list[SyntaxProblem] = []
    lines = split_lines(text)
    for _ in range(12):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse("".join(lines)), problems
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            problems.append(SyntaxProblem(line, getattr(error, "msg", None) or str(error)))
            if not lines or not lines[min(line, len(lines)) - 1].strip():
                break
            lines[min(line, len(lines)) - 1] = "\n"
    return ast.Module(body=[], type_ignores=[]), problems
