"""Lines of a text, as Python's parser and the Language Server Protocol count them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import islice
from typing import NamedTuple

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_SPACE = " \t\f\r\n"
_BLOCK = 256  # lines that are compared at once
_FEW, _TOO_MANY = 20, 10_000  # lines of a change that are not worth a closer look
_MOST_CHANGES = 16


def visible(text: str) -> str:
    """`text` with what would steer a terminal, or the order in which text is shown, replaced: control characters but
    the line feed, and those without a form of their own."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\xa0\u3000" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


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


def scattered(old: Sequence[str], new: Sequence[str], change: Change) -> list[Change]:
    """The changes, the last one first, that make up a change if most of its lines are the same; else that change."""
    start, old_end, new_end = change
    sizes = old_end - start, new_end - start
    if min(sizes) <= _FEW or max(sizes) > _TOO_MANY:
        return [change]
    one, other = old[start:old_end], new[start:new_end]
    if len(one) == len(other):
        differ = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        breaks = [k for k in range(1, len(differ)) if differ[k] != differ[k - 1] + 1]
        runs = [(differ[a], differ[b - 1] + 1) for a, b in zip([0, *breaks], [*breaks, len(differ)], strict=True)]
        found = [Change(start + begin, start + end, start + end) for begin, end in runs]
    else:
        found = [
            Change(start + begin, start + end, start + begin + new_stop - new_begin)
            for tag, begin, end, new_begin, new_stop in SequenceMatcher(None, one, other).get_opcodes()
            if tag != "equal"
        ]
    lines = sum(max(each.old_end, each.new_end) - each.start for each in found)
    return found[::-1] if len(found) <= _MOST_CHANGES and lines * 4 <= max(sizes) else [change]


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


def first_code_of_text(lines: Sequence[str], start: int, end: int) -> int | None:
    """The same for the lines of a whole text, which may begin with a mark of the byte order."""
    found = first_code(lines, start, end)
    if found == 0 and lines[0].startswith("\ufeff") and not has_code(lines[0][1:]):
        return first_code(lines, 1, end)
    return found


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
