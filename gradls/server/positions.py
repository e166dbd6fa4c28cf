"""Positions as the Language Server Protocol counts them, and spans as gradls does.

The protocol counts lines from 0 and characters from 0 in units of an encoding that client and server agree on. A span
counts both from 1, columns in Unicode code points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from gradls.syntax.source import Span

Encoding = Literal["utf-8", "utf-16", "utf-32"]


class Position(TypedDict):
    line: int
    character: int


class Range(TypedDict):
    start: Position
    end: Position


def units(text: str, encoding: Encoding) -> int:
    """How many units of `encoding` the code points of `text` take."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    return sum(_width(character, encoding) for character in text)


def code_points(line: str, character: int, encoding: Encoding) -> int:
    """How many code points of `line` come before `character`, an offset in units of `encoding`.

    Past the end of the line, its line end not counted, it is the end; inside a code point it is the start of that.
    """
    end = len(line.rstrip("\r\n"))
    if encoding == "utf-32" or line.isascii():
        return min(character, end)
    for index in range(end):
        width = _width(line[index], encoding)
        if character < width:
            return index
        character -= width
    return end


def _width(character: str, encoding: Encoding) -> int:
    if encoding == "utf-16":
        return 2 if character > "\uffff" else 1
    if character < "\x80":
        return 1
    if character < "\u0800":
        return 2
    return 4 if character > "\uffff" else 3


def to_position(line: int, column: int, lines: Sequence[str], encoding: Encoding) -> Position:
    """The protocol's position of a span's `line` and `column` in a text of these lines (line ends kept or not)."""
    before = lines[line - 1][: column - 1] if line <= len(lines) else ""
    return {"line": line - 1, "character": units(before, encoding)}


def to_range(span: Span, lines: Sequence[str], encoding: Encoding) -> Range:
    """The protocol's range of `span` in a text of these lines."""
    return {
        "start": to_position(span.line, span.column, lines, encoding),
        "end": to_position(span.end_line, span.end_column, lines, encoding),
    }
