"""The texts that the client has open, edited in place.

A keystroke costs the lines that it touches, whatever the length of the file. The client's text is the truth: an edit
is applied even if its version looks wrong, for the next ones count on it.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from pygls.uris import from_fs_path, to_fs_path

from gradls.server.positions import Encoding, code_points
from gradls.server.snapshots import Snapshot
from gradls.syntax.text import split_lines

log = logging.getLogger(__name__)

_revisions = itertools.count()
_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def new_revision() -> int:
    """A number that no document had as its revision."""
    return next(_revisions)


def label_of(uri: str) -> str:
    """How gradls calls a document: the path of a file, or the URI of anything else (`untitled:Untitled-1`).

    Two spellings of one file's URI (`%2B` and `+`) give one label.
    """
    try:
        label = to_fs_path(uri.replace(";", "%3B")) or uri
    except ValueError:
        return uri
    if "\ufffd" in label and uri.startswith("file:///"):
        # The name of a file need not be text.
        return os.fsdecode(unquote_to_bytes(uri[len("file://") :]))
    return label


def uri_of(label: str) -> str:
    """The URI of what gradls calls `label`."""
    if not label.startswith(("/", "\\")) and label[1:2] != ":":
        return label
    try:
        return from_fs_path(label) or label
    except UnicodeEncodeError:
        # The name of a file need not be text.
        return Path(label).as_uri()


class Document:
    """An open text.

    `version` is the client's; `revision` grows with every change, whatever the client says, and no two documents have
    one in common.
    """

    def __init__(self, uri: str, version: int | None, text: str) -> None:
        self.uri = uri
        self.label = label_of(uri)
        self.version = _whole(version)
        self.revision = next(_revisions)
        self.is_typed_in = False
        self.lines = split_lines(text)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def snapshot(self) -> Snapshot:
        """The document as it is now."""
        return Snapshot(self.label, self.uri, self.version, self.revision, self.lines.copy())

    def edit(self, version: int | None, changes: Iterable[Mapping[str, Any]], encoding: Encoding) -> None:
        """Apply the `contentChanges` of a didChange; what cannot be read of them is left out."""
        version = _whole(version)
        if version is not None and self.version is not None and version < self.version:
            log.warning("the version of %s went back from %s to %s", self.uri, self.version, version)
        self.version = version
        for change in changes:
            try:
                self.change(change, encoding)
            except ValueError as error:
                log.warning("a change of %s could not be read: %s", self.uri, error)

    def change(self, change: Mapping[str, Any], encoding: Encoding) -> None:
        """Apply one element of the `contentChanges` of a didChange. ValueError if it is not one."""
        if not isinstance(change, Mapping) or not isinstance(change.get("text"), str):
            raise ValueError("it has no text")
        text, area = change["text"], change.get("range")
        if area is None:
            self.lines = split_lines(text)
        else:
            start, end = sorted(_ends(area))
            self._replace(self._locate(*start, encoding), self._locate(*end, encoding), text)
        self.revision = next(_revisions)
        self.is_typed_in = True

    def _locate(self, line: int, character: int, encoding: Encoding) -> tuple[int, int]:
        """The index of a line and in it; what lies after the last line is the end of the text."""
        if line < len(self.lines):
            return line, code_points(self.lines[line], character, encoding)
        if self.lines and not self.lines[-1].endswith(("\n", "\r")):
            return len(self.lines) - 1, len(self.lines[-1])
        return len(self.lines), 0

    def _replace(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        lines = self.lines
        first, last = start[0], min(end[0] + 1, len(lines))
        before = lines[first][: start[1]] if first < len(lines) else ""
        after = lines[end[0]][end[1] :] if end[0] < len(lines) else ""
        text = _whole_characters(before + text + after)
        # A \r and a \n that have come together are one line end. (A \r at the end of `text` was followed by no \n.)
        if text.startswith("\n") and first > 0 and lines[first - 1].endswith("\r"):
            first -= 1
            text = lines[first] + text
        lines[first:last] = split_lines(text)


def _whole_characters(text: str) -> str:
    """`text`, in which halves of a character that have come together, as UTF-16 has them, are that character."""
    if text.isascii() or not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _whole(number: object) -> int | None:
    """A whole number as JSON has it, in some clients with a fraction of nothing; None if it is none."""
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _ends(area: Any) -> Iterator[tuple[int, int]]:
    """The lines and characters of a range's ends. ValueError if it is none."""
    for name in ("start", "end"):
        end = area.get(name) if isinstance(area, Mapping) else None
        line, character = (_whole(end.get(key)) if isinstance(end, Mapping) else None for key in ("line", "character"))
        if line is None or character is None or line < 0 or character < 0:
            raise ValueError(f"it has no {name}")
        yield line, character


class LooseCell(Document):
    """A cell of a notebook that a client without notebooks opens as a document of its own."""

    def snapshot(self) -> Snapshot:
        """The cell as it is now, without what only IPython understands; everything else stands where it stands."""
        from gradls.syntax.magics import masked

        return Snapshot(self.label, self.uri, self.version, self.revision, masked(self.lines)[0])


def is_cell(uri: str) -> bool:
    """Is this the URI of a cell, or of cells put together?"""
    return uri.startswith(("vscode-notebook-cell:", "vscode-interactive-input:")) or uri.endswith(".ipynb")


class Documents:
    """The open documents by label."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._open: dict[str, Document] = {}

    def __iter__(self) -> Iterator[Document]:
        return iter(list(self._open.values()))

    def get(self, uri: str) -> Document | None:
        return self._open.get(label_of(uri))

    def by_label(self, label: str) -> Document | None:
        return self._open.get(label)

    def uri_of(self, label: str) -> str:
        """The client's own spelling for an open document, else a file's URI. May be called from any thread."""
        document = self._open.get(label)
        if document is not None:
            return document.uri
        return uri_of(label)

    def open(self, uri: str, version: int | None, text: str) -> Document:
        document = (LooseCell if is_cell(uri) else Document)(uri, version, text)
        if document.label in self._open:
            log.warning("%s was opened again without having been closed", uri)
        self._open[document.label] = document
        return document

    def add(self, document: Document) -> None:
        """`document`, which is no plain text of the client's, is open from now on."""
        self._open[document.label] = document

    def remove(self, document: Document) -> None:
        """`document` is not open any more."""
        if self._open.get(document.label) is document:
            del self._open[document.label]

    def change(self, uri: str, version: int | None, changes: Iterable[Mapping[str, Any]]) -> Document | None:
        """The changed document; None, and a line in the log, if it is not open."""
        document = self.get(uri)
        if document is None:
            log.warning("%s was changed but is not open", uri)
            return None
        document.edit(version, changes, self.encoding)
        return document

    def close(self, uri: str) -> Document | None:
        document = self._open.pop(label_of(uri), None)
        if document is None:
            log.warning("%s was closed but is not open", uri)
        return document
