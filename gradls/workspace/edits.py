"""Edits of a text, applied and compared."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence

from gradls.rules.finding import TextEdit
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines


def apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    """`text` with all of `edits`, which belong to one file and do not overlap, made at once."""
    starts = [0]
    for line in split_lines(text):
        starts.append(starts[-1] + len(line))

    def offset(line: int, column: int) -> int:
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(text))

    for edit in sorted(edits, key=lambda edit: edit.span, reverse=True):
        span = edit.span
        text = text[: offset(span.line, span.column)] + edit.text + text[offset(span.end_line, span.end_column) :]
    return text


def compatible(chosen: Sequence[TextEdit], more: Sequence[TextEdit]) -> bool:
    """Whether `more` can be made together with `chosen`: equal edits are one, others must not touch the same place."""
    return all(one == other or one.path != other.path or _apart(one, other) for one in chosen for other in more)


def _apart(one: TextEdit, other: TextEdit) -> bool:
    a, b = sorted((one.span, other.span))
    if a[:2] == b[:2]:
        return False
    return a[2:] <= b[:2]


def breaks_syntax(source: Source, edits: Sequence[TextEdit]) -> bool:
    """Whether `edits` turn a text that parses into one that does not. Of a text that is broken nothing is known."""
    return not source.problems and not _parses(apply_edits(source.text, edits))


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def unified_diff(path: str, old: str, new: str) -> str:
    """The change as `diff -u` prints it, and `patch` reads it."""
    import difflib  # who only edits does not need it

    name = path.replace("\\", "/")
    lines = difflib.unified_diff(split_lines(old), split_lines(new), name, name)
    return "".join(line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n" for line in lines)
