"""Lines of a text, as Python's parser and the Language Server Protocol count them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_SPACE = " \t\f\r\n"
_BLOCK = 256  # lines that are compared at once


def split_lines(text: str) -> list[str]:
    r"""The lines of `text`, line ends kept; only `\n`, `\r\n` and `\r` end a line (`str.splitlines` knows more)."""
    return _LINE.findall(text)


class Change(NamedTuple):
    """The old lines from `start` to `old_end` have become the new lines from `start` to `new_end` (indices)."""

    start: int
    old_end: int
    new_end: int

    @property
    def shift(self) -> int:
        return self.new_end - self.old_end


def changed(old: Sequence[str], new: Sequence[str]) -> Change:
    """The lines between the first and the last that differ."""
    most = min(len(old), len(new))
    start = 0
    while start < most and old[start : start + _BLOCK] == new[start : start + _BLOCK]:
        start += _BLOCK
    start = min(start, most)
    while start < most and old[start] == new[start]:
        start += 1
    tail, most = 0, most - start
    old_size, new_size = len(old), len(new)
    while tail + _BLOCK <= most:
        at, new_at = old_size - tail, new_size - tail
        if old[at - _BLOCK : at] != new[new_at - _BLOCK : new_at]:
            break
        tail += _BLOCK
    while tail < most and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Change(start, old_size - tail, new_size - tail)


def readable(lines: list[str], top: bool) -> list[str]:
    """The lines without what the parser cannot take, with the same number of UTF-8 bytes before everything else.

    `top` says that they are those that the text begins with.
    """
    if top and lines and lines[0].startswith("\ufeff"):
        lines = ["\f\f\f" + lines[0][1:], *lines[1:]]
    text = "".join(lines)
    if (not text.isascii() or "\x00" in text) and _UNREADABLE.search(text):
        lines = [_UNREADABLE.sub(lambda found: " " if found[0] == "\x00" else "\ufffd", line) for line in lines]
    return lines


def has_code(line: str) -> bool:
    """Whether a line, outside of strings, is more than white space and a comment for Python."""
    return line.strip(_SPACE)[:1] not in ("", "#")


def first_code(lines: Sequence[str], start: int = 0, end: int | None = None) -> int | None:
    """The index of the first line with code among those from `start` to `end`."""
    for index, line in enumerate(islice(lines, start, end), start):
        if has_code(line):
            return index
    return None


def is_continued(line: str) -> bool:
    """Whether the next line may go on with what stands on this one."""
    return line.rstrip("\r\n").endswith("\\")


def indentation(line: str) -> str:
    """The white space that a line starts with."""
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def level(line: str) -> tuple[int, int]:
    """How far a line is indented, as Python counts it: with tabs to each eighth column, and of one column each."""
    white = indentation(line).rpartition("\f")[2]
    return len(white.expandtabs(8)), len(white)
