"""Where the keys and values of a TOML document stand in its text. The standard library's reader does not say."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from gradls.syntax.source import Span

Path = tuple[str | int, ...]

_SKIPPED = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\r\n]*")
"""Any value that is no text, list or table: a date may have a space in it."""
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")


class Place(NamedTuple):
    """A value and the last part of its key, if it has one. The value of a table with a header is the header."""

    key: Span | None
    value: Span


def place_of(text: str, path: Path) -> Place:
    """Where the value at `path` stands in a valid document; of what cannot be found, what is around it.

    An element of an array of tables has its number in the path, as the elements of lists have. Nothing at all found is
    the start of the text.
    """
    try:
        found = _Reader(text).read()
    except (RecursionError, ValueError, IndexError):
        found = {}
    starts = _starts(text)
    while path and path not in found:
        path = path[:-1]
    key, value = found.get(path, (None, (0, 0)))
    return Place(_span(key, starts) if key else None, _span(value, starts))


def place_of_error(text: str, error: str) -> Span:
    """The place that a message of the standard library's reader names."""
    named = re.search(r"\(at line (\d+), column (\d+)\)", error)
    lines = text.split("\n")
    line, column = (int(named[1]), int(named[2])) if named else (len(lines), len(lines[-1]) + 1)
    return Span(line, column, line, column + 1)


_Range = tuple[int, int]


class _Reader:
    """Goes through a valid document once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, tuple[_Range | None, _Range]] = {}
        self._counts: dict[Path, int] = {}

    def read(self) -> dict[Path, tuple[_Range | None, _Range]]:
        table: Path = ()
        while self._skip():
            table = self._header() if self._text[self._at] == "[" else self._pair(table)
        return self._found

    def _header(self) -> Path:
        start = self._at
        several = self._text.startswith("[[", start)
        self._at += 2 if several else 1
        keys = self._keys()
        self._at = self._text.index("]", self._at) + (2 if several else 1)
        path: Path = ()
        for index, (name, place) in enumerate(keys):
            path = (*path, name)
            is_last = index == len(keys) - 1
            self._found.setdefault(path, (place, (start, self._at)))
            if is_last and several:
                self._counts[path] = self._counts.get(path, -1) + 1
            if is_last and not several:
                self._found[path] = place, (start, self._at)
            if path in self._counts:
                path = (*path, self._counts[path])
                self._found.setdefault(path, (place, (start, self._at)))
        return path

    def _pair(self, table: Path) -> Path:
        """Reads a key and its value. Returns the table that it is in."""
        start = self._at
        keys = self._keys()
        self._at = self._text.index("=", self._at) + 1
        path = table
        self._take(_BLANK)
        for name, place in keys[:-1]:
            path = (*path, name)
            self._found.setdefault(path, (place, (start, self._at)))
        name, place = keys[-1]
        path = (*path, name)
        self._found[path] = place, self._value(path)
        return table

    def _keys(self) -> list[tuple[str, _Range]]:
        keys = []
        while True:
            self._take(_BLANK)
            start = self._at
            quoted = self._text[start] in "\"'"
            name = self._take(_TEXT if quoted else _KEY)
            if not name:
                raise ValueError("not a key")
            keys.append((_unquoted(name) if quoted else name, (start, self._at)))
            self._take(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: Path) -> _Range:
        start = self._at
        first = self._text[start]
        if first in "\"'":
            self._take(_TEXT)
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._table(path)
        else:
            taken = self._take(_BARE)
            self._at -= len(taken) - len(taken.rstrip())
        return start, self._at

    def _list(self, path: Path) -> None:
        self._at += 1
        count = 0
        while self._skip() and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            item = (*path, count)
            self._found[item] = None, self._value(item)
            count += 1
        self._at += 1

    def _table(self, path: Path) -> None:
        self._at += 1
        while self._skip() and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _skip(self) -> bool:
        """Whether anything comes after blanks, line ends and comments."""
        self._take(_SKIPPED)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """What `pattern` matches here, left behind."""
        found = pattern.match(self._text, self._at)
        taken = found[0] if found else ""
        self._at += len(taken)
        return taken


def _unquoted(key: str) -> str:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    name: str = tomllib.loads(f"key = {key}")["key"]
    return name


def _starts(text: str) -> list[int]:
    return [0, *(end.end() for end in re.finditer("\n", text))]


def _span(place: _Range, starts: list[int]) -> Span:
    line, end_line = (bisect_right(starts, offset) for offset in place)
    return Span(line, place[0] - starts[line - 1] + 1, end_line, place[1] - starts[end_line - 1] + 1)
