"""Messages about cells and about the module that they are: positions in the one as positions in the other.

What a message is about is told by its shape, so that each feature works in notebooks without knowing of them: an object
with a `uri` and a `range` is a place; one with a `range` or a `position` alone is about the text that was asked about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gradls.server.positions import Encoding, code_points, to_range
from gradls.syntax.cells import CellEdit, Cells
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines

log = logging.getLogger(__name__)

_RANGES = ("range", "selectionRange", "originSelectionRange")
_POSITIONS = ("position",)
_OPAQUE = ("data", "arguments", "initializationOptions")
"""What comes back as it was sent."""


@dataclass(frozen=True)
class Layout:
    """How the cells of the notebook `uri` make a module: the URIs and versions of its Python cells, in order."""

    uri: str
    uris: tuple[str, ...]
    versions: tuple[int | None, ...]
    cells: Cells
    revision: int

    def place(self, area: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """The cell's URI and the range in it for a range of the module; what reaches into the next cell is cut off."""
        if not self.uris:
            return None
        cell, line = self.cells.place(int(area["start"]["line"]) + 1)
        until, end_line = self.cells.place(int(area["end"]["line"]) + 1)
        end = {**area["end"], "line": end_line - 1}
        if until != cell:
            end = {"line": len(self.cells.cells[cell].lines), "character": 0}
        return self.uris[cell], {"start": {**area["start"], "line": line - 1}, "end": end}


class Asked(NamedTuple):
    """The cell that a request is about, as the notebook was then."""

    layout: Layout
    cell: int


LayoutOf = Callable[[str, object], "Layout | None"]
"""The layout of the notebook with a URI at a version."""


def from_cells(value: Any, asked: Asked) -> Any:
    """The parameters of a request about a cell, with the positions of the module."""
    if isinstance(value, list):
        return [from_cells(item, asked) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("line"), int) and "character" in value:
        return {**value, "line": asked.layout.cells.line(asked.cell, value["line"] + 1) - 1}
    return {
        key: item if key in _OPAQUE or key == "relatedInformation" else from_cells(item, asked)
        for key, item in value.items()
    }


def to_cells(value: Any, asked: Asked | None, layout_of: LayoutOf, encoding: Encoding) -> Any:
    """What is said to the client, with the places of cells for those of modules.

    Of an answer about a cell that is left out of lists which is in another one.
    """
    return _Translation(asked, layout_of, encoding).of(value)


class _Elsewhere(Exception):
    """It is in another cell."""


class _Translation:
    def __init__(self, asked: Asked | None, layout_of: LayoutOf, encoding: Encoding) -> None:
        self._asked = asked
        self._layout_of = layout_of
        self._encoding = encoding

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for item in value for each in self._in_list(item)]
        if not isinstance(value, dict):
            return value
        if "changes" in value or "documentChanges" in value:
            return self._workspace_edit(value)
        if isinstance(value.get("uri"), str) and isinstance(value.get("range"), dict):
            layout = self._layout(value["uri"])
            place = layout.place(value["range"]) if layout else None
            return {**value, "uri": place[0], "range": place[1]} if place else value
        made = {key: item if key in _OPAQUE else self.of(item) for key, item in value.items()}
        return self._own_places(made) if self._asked is not None else made

    def _in_list(self, item: Any) -> list[Any]:
        try:
            return [self.of(item)]
        except _Elsewhere:
            return []

    def _layout(self, uri: str, version: object = None) -> Layout | None:
        if self._asked is not None and uri == self._asked.layout.uri and version in (None, self._asked.layout.revision):
            return self._asked.layout
        return self._layout_of(uri, version)

    def _own_places(self, value: dict[str, Any]) -> dict[str, Any]:
        assert self._asked is not None
        layout, cell = self._asked
        for key in _RANGES:
            if isinstance(value.get(key), dict) and "start" in value[key]:
                place = layout.place(value[key])
                if place is None or place[0] != layout.uris[cell]:
                    raise _Elsewhere
                value[key] = place[1]
        for key in _POSITIONS:
            if isinstance(value.get(key), dict) and "line" in value[key]:
                place = layout.place({"start": value[key], "end": value[key]})
                if place is None or place[0] != layout.uris[cell]:
                    raise _Elsewhere
                value[key] = place[1]["start"]
        return value

    def _workspace_edit(self, value: dict[str, Any]) -> dict[str, Any]:
        made = dict(value)
        if isinstance(value.get("changes"), dict):
            made["changes"] = {}
            for uri, edits in value["changes"].items():
                layout = self._layout(uri)
                made["changes"] |= self._by_cell(layout, edits) if layout else {uri: edits}
        if isinstance(value.get("documentChanges"), list):
            made["documentChanges"] = [each for change in value["documentChanges"] for each in self._change(change)]
        return made

    def _change(self, change: dict[str, Any]) -> list[dict[str, Any]]:
        item = change.get("textDocument")
        layout = self._layout(item["uri"], item.get("version")) if isinstance(item, dict) else None
        if layout is None:
            return [change]
        versions = dict(zip(layout.uris, layout.versions, strict=True))
        return [
            {**change, "textDocument": {"uri": uri, "version": versions[uri]}, "edits": edits}
            for uri, edits in self._by_cell(layout, change["edits"]).items()
        ]

    def _by_cell(self, layout: Layout, edits: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for edit in edits:
            made = self._edit(layout, edit)
            if made is None:
                log.warning("an edit of %s is not within a cell", layout.uri)
                continue
            lines = split_lines(layout.cells.cells[made.cell].text)
            entry = {**edit, "range": to_range(made.span, lines, self._encoding), "newText": made.text}
            found.setdefault(layout.uris[made.cell], []).append(entry)
        return found

    def _edit(self, layout: Layout, edit: dict[str, Any]) -> CellEdit | None:
        area, lines = edit["range"], layout.cells.lines

        def column(end: Mapping[str, int]) -> int:
            return (
                code_points(lines[end["line"]], end["character"], self._encoding) + 1 if end["line"] < len(lines) else 1
            )

        start, end = area["start"], area["end"]
        span = Span(start["line"] + 1, column(start), end["line"] + 1, column(end))
        return layout.cells.edit(span, edit["newText"])
