"""Jupyter notebooks as they are stored: what their cells say, and the file with other texts in them.

Only what changes in a text is written; everything else in the file stays as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from gradls.rules.finding import TextEdit
from gradls.syntax.cells import Cell, Cells
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.edits import apply_edits
from gradls.workspace.files import Text, Unreadable, decode

ENDING = ".ipynb"

_SPACE = re.compile(r"[ \t\r\n]*")
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)
_SURROGATE = frozenset(map(chr, range(0xD800, 0xE000)))
_decoder = json.JSONDecoder()


def is_notebook(path: str) -> bool:
    """Whether a file of this name is a notebook."""
    return path.endswith(ENDING)


class _Text(NamedTuple):
    """A JSON string: what it says, and where its quotes are in the file."""

    value: str
    start: int
    end: int


class _Place(NamedTuple):
    """Where the text of a cell stands: the offsets of the value, and the strings in it, which may be a list."""

    start: int
    end: int
    strings: tuple[_Text, ...]
    is_list: bool


@dataclass(frozen=True)
class Notebook:
    """A notebook file: `stored` is what it says, `numbers` are those of its code cells among all cells, from 1."""

    path: str
    stored: str
    cells: Cells
    numbers: tuple[int, ...]
    places: tuple[_Place, ...]

    @classmethod
    def read(cls, data: bytes, path: str) -> Notebook:
        """The notebook with this content. Unreadable if it is none. One in another language has no code cells."""
        try:
            content = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Unreadable(path, f"byte {data[error.start]:#04x} is not utf-8", line) from None
        try:
            found = list(_code_cells(content, path))
        except json.JSONDecodeError as error:
            raise Unreadable(path, f"not a notebook: {error.msg}", error.lineno) from None
        except (RecursionError, IndexError):
            raise Unreadable(path, "not a notebook") from None
        cells = Cells(Cell.read("".join(text.value for text in place.strings)) for _, place in found)
        return cls(path, content, cells, tuple(number for number, _ in found), tuple(place for _, place in found))

    @property
    def text(self) -> str:
        """The module that the cells are."""
        return self.cells.text

    @property
    def data(self) -> bytes:
        """What is in the file."""
        return self.stored.encode("utf-8")

    def edited(self, edits: Iterable[TextEdit]) -> Notebook:
        """With edits of the module. ValueError if one is not within a cell."""
        return self.with_texts(self._texts(edits))

    def file_edits(self, edits: Iterable[TextEdit]) -> list[TextEdit]:
        """Edits of the module as edits of the file. ValueError if one is not within a cell."""
        found = []
        for start, end, text in self.splices(self._texts(edits)):
            span = Span(*self._place_of(start), *self._place_of(end))
            found.append(TextEdit(self.path, span, text))
        return found

    def _place_of(self, offset: int) -> tuple[int, int]:
        return self.stored.count("\n", 0, offset) + 1, offset - self.stored.rfind("\n", 0, offset)

    def _texts(self, edits: Iterable[TextEdit]) -> list[str]:
        """The texts of the cells after edits of the module."""
        texts = [cell.text for cell in self.cells.cells]
        by_cell: dict[int, list[TextEdit]] = {}
        for edit in edits:
            found = self.cells.edit(edit.span, edit.text)
            if found is None:
                raise ValueError(f"{edit} is not within a cell")
            by_cell.setdefault(found.cell, []).append(TextEdit(self.path, found.span, found.text))
        for cell, own in by_cell.items():
            texts[cell] = apply_edits(texts[cell], own)
        return texts

    def with_texts(self, texts: Sequence[str]) -> Notebook:
        """With these texts in its code cells. ValueError if they cannot be written."""
        stored = self.stored
        for start, end, text in reversed(self.splices(texts)):
            stored = stored[:start] + text + stored[end:]
        made = Notebook.read(stored.encode("utf-8"), self.path)
        if [cell.text for cell in made.cells.cells] != list(texts):
            raise ValueError("the cells cannot be written")
        return made

    def splices(self, texts: Sequence[str]) -> list[tuple[int, int, str]]:
        """What of the file is to be replaced for that: offsets in `stored`, and what stands there then."""
        found: list[tuple[int, int, str]] = []
        for place, cell, text in zip(self.places, self.cells.cells, texts, strict=True):
            if text != cell.text:
                found += self._in_list(place, text) if place.is_list else [self._in_string(place.strings[0], text)]
        return found

    def line_of(self, cell: int, line: int) -> int:
        """The 1-based line of the file on which a line of a cell stands; `cell` is an index."""
        place = self.places[cell]
        offset, lines = place.start, 0
        for text in place.strings:
            offset = text.start
            lines += len(split_lines(text.value))
            if lines >= line:
                break
        return self.stored.count("\n", 0, offset) + 1

    def _in_string(self, old: _Text, new: str) -> tuple[int, int, str]:
        """The characters that a string and its new value begin and end with stay as they are written."""
        written = _CHARACTER.findall(self.stored[old.start + 1 : old.end - 1])
        values = old.value  # each written character stands for one
        head = tail = 0
        at, until = 0, len(new)
        while head < len(values) and new.startswith(values[head], at, until):
            at += len(values[head])
            head += 1
        while tail < len(values) - head and new.endswith(values[-1 - tail], at, until):
            until -= len(values[-1 - tail])
            tail += 1
        start = old.start + 1 + sum(map(len, written[:head]))
        end = old.end - 1 - sum(map(len, written[len(written) - tail :]))
        return start, end, self._encoded(new[at:until])[1:-1]

    def _in_list(self, place: _Place, new: str) -> list[tuple[int, int, str]]:
        """The strings that the new text begins and ends with stay as they are written."""
        strings = place.strings
        head = tail = 0
        at, until = 0, len(new)
        while head < len(strings) and new.startswith(strings[head].value, at, until):
            at += len(strings[head].value)
            head += 1
        while tail < len(strings) - head and new.endswith(strings[-1 - tail].value, at, until):
            until -= len(strings[-1 - tail].value)
            tail += 1
        lines, old = split_lines(new[at:until]), strings[head : len(strings) - tail]
        if len(lines) == len(old):
            return [self._in_string(*pair) for pair in zip(old, lines, strict=True) if pair[0].value != pair[1]]
        made = [self._encoded(line) for line in lines]
        between = self._between(place)
        if old and made:
            return [(old[0].start, old[-1].end, between.join(made))]
        if made:
            if head:
                return [(strings[head - 1].end, strings[head - 1].end, "".join(between + text for text in made))]
            if strings:
                return [(strings[0].start, strings[0].start, "".join(text + between for text in made))]
            return [(place.start, place.end, f"[{', '.join(made)}]")]
        if len(old) == len(strings):
            return [(place.start, place.end, "[]")]
        if head:
            return [(strings[head - 1].end, old[-1].end, "")]
        return [(old[0].start, strings[len(old)].start, "")]

    def _between(self, place: _Place) -> str:
        """What stands between the strings of a list."""
        if len(place.strings) > 1:
            return self.stored[place.strings[0].end : place.strings[1].start]
        blank = self.stored[place.start + 1 : place.strings[0].start] if place.strings else ""
        return f",{blank or ' '}"

    def _encoded(self, text: str) -> str:
        ascii = self.stored.isascii() and "\\u" in self.stored
        return json.dumps(text, ensure_ascii=ascii or not _SURROGATE.isdisjoint(text))


def _code_cells(content: str, path: str) -> Iterator[tuple[int, _Place]]:
    """The numbers of the code cells, and their places."""
    top = dict(_members(content, _skip(content, 1 if content.startswith("\ufeff") else 0)))
    if "cells" in top:
        lists = [top["cells"]]
    elif "worksheets" in top:  # notebooks of 2014 and before
        lists = [dict(_members(content, at))["cells"] for at in _items(content, top["worksheets"])]
    else:
        raise Unreadable(path, "not a notebook: there are no cells in it")
    if _language(content, top) not in ("", "python"):
        return
    number = 0
    for at in lists:
        for item in _items(content, at):
            number += 1
            members = dict(_members(content, item))
            source = members.get("source", members.get("input"))
            if (
                source is not None
                and _value(content, members.get("cell_type")) == "code"
                and _is_python(content, members)
            ):
                yield number, _place(content, source)


def _language(content: str, top: dict[str, int]) -> str:
    metadata = _value(content, top.get("metadata")) or {}
    for holder, key in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(holder) if isinstance(metadata, dict) else None
        name = found.get(key) if isinstance(found, dict) else None
        if isinstance(name, str):
            return "python" if name.lower().startswith(("python", "ipython")) else name.lower()
    return ""


def _is_python(content: str, members: dict[str, int]) -> bool:
    metadata = _value(content, members.get("metadata"))
    editor = metadata.get("vscode") if isinstance(metadata, dict) else None
    language = editor.get("languageId") if isinstance(editor, dict) else _value(content, members.get("language"))
    return not isinstance(language, str) or language == "python"


def _place(content: str, at: int) -> _Place:
    if content[at] == '"':
        value, end = scanstring(content, at + 1)
        return _Place(at, end, (_Text(value, at, end),), False)
    strings = []
    for item in _items(content, at):
        _expect(content, item, '"')
        value, end = scanstring(content, item + 1)
        strings.append(_Text(value, item, end))
    return _Place(at, _end_of(content, at), tuple(strings), True)


def _value(content: str, at: int | None) -> Any:
    return _decoder.raw_decode(content, at)[0] if at is not None else None


def _end_of(content: str, at: int) -> int:
    return _decoder.raw_decode(content, at)[1]


def _skip(content: str, at: int) -> int:
    found = _SPACE.match(content, at)
    assert found is not None
    return found.end()


def _members(content: str, at: int) -> Iterator[tuple[str, int]]:
    """The keys of the object at an offset, and the offsets of their values."""
    _expect(content, at, "{")
    at = _skip(content, at + 1)
    while content[at] != "}":
        _expect(content, at, '"')
        key, at = scanstring(content, at + 1)
        at = _skip(content, at)
        _expect(content, at, ":")
        at = _skip(content, at + 1)
        yield key, at
        at = _next(content, at, "}")


def _items(content: str, at: int) -> Iterator[int]:
    """The offsets of the items of the list at an offset."""
    _expect(content, at, "[")
    at = _skip(content, at + 1)
    while content[at] != "]":
        yield at
        at = _next(content, at, "]")


def _next(content: str, at: int, closing: str) -> int:
    """Where what follows the value at an offset begins: the next member, or the end."""
    at = _skip(content, _end_of(content, at))
    if content[at] == ",":
        return _skip(content, at + 1)
    _expect(content, at, closing)
    return at


def _expect(content: str, at: int, character: str) -> None:
    if content[at : at + 1] != character:
        raise json.JSONDecodeError(f"expected {character}", content, at)


Stored = Text | Notebook
"""What a file that can be checked says."""


def stored(data: bytes, path: str) -> Stored:
    """What a file says, a Python one or a notebook. Unreadable if it is neither."""
    return Notebook.read(data, path) if is_notebook(path) else decode(data, path)
