"""Open notebooks: each is one document to everybody else, whose text is the module that its cells are.

Clients speak of cells. Their messages are put into terms of the module here, and answers into terms of cells
(`gradls.server.cells`). Everything runs on the loop's thread but `outward`, which looks only at what never changes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gradls.server.cells import Asked, Layout, from_cells, to_cells
from gradls.server.connection import Connection, Params, publication
from gradls.server.documents import Document, Documents, new_revision
from gradls.server.scheduling import Scheduler
from gradls.server.snapshots import Snapshot
from gradls.syntax.cells import Cell, Cells

log = logging.getLogger(__name__)

CODE = 2
PYTHON = "python"
MOST_LAYOUTS = 32
MOST_ASKED = 1000


class Notebook(Document):
    """An open notebook. `version` is its revision; the cells have versions of the client's."""

    def __init__(self, uri: str, cells: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(uri, None, "")
        self.order = [_of(cell) for cell in cells]
        self.texts: dict[str, Document] = {}
        """Those of the cells in Python, by their URIs."""
        self.layouts: dict[int, Layout] = {}
        """How the cells made the module, by its revision; the last one is that of now."""
        self._read: dict[str, tuple[int, Cell]] = {}

    @property
    def layout(self) -> Layout:
        """How the cells make the module now."""
        return self.layouts[self.revision]

    def rebuild(self) -> None:
        """Make the module of the cells as they are now."""
        uris = [uri for uri, kind in self.order if kind == CODE and uri in self.texts]
        for uri in uris:
            text = self.texts[uri]
            known = self._read.get(uri)
            if known is None or known[0] != text.revision:
                self._read[uri] = text.revision, Cell.read(text.text)
        cells = Cells(self._read[uri][1] for uri in uris)
        self.lines = cells.lines
        self.revision = self.version = new_revision()
        self.layouts[self.revision] = Layout(
            self.uri, tuple(uris), tuple(self.texts[uri].version for uri in uris), cells, self.revision
        )
        while len(self.layouts) > MOST_LAYOUTS:
            del self.layouts[next(iter(self.layouts))]

    def snapshot(self) -> Snapshot:
        """The notebook as it is now."""
        return Snapshot(self.label, self.uri, self.version, self.revision, self.lines.copy(), self.layout.cells)


class Notebooks:
    """The open notebooks. They are among `documents`, too."""

    def __init__(
        self,
        documents: Documents,
        scheduler: Scheduler,
        connection: Connection,
        closed: Callable[[Document], None] = lambda document: None,
    ) -> None:
        """`closed` is called with each notebook that was open."""
        self._closed = closed
        self._documents = documents
        self._scheduler = scheduler
        self._connection = connection
        self._open: dict[str, Notebook] = {}
        self._by_cell: dict[str, Notebook] = {}
        self._published: dict[str, tuple[int | None, str]] = {}
        self._asked: dict[Any, Asked] = {}

    # -- what the client says of them

    def did_open(self, params: Params) -> None:
        """A notebook was opened."""
        item = params["notebookDocument"]
        notebook = Notebook(item["uri"], item.get("cells") or [])
        self._open[notebook.uri] = notebook
        self._open_cells(notebook, params.get("cellTextDocuments") or [])
        notebook.rebuild()
        self._documents.add(notebook)
        self._scheduler.touch(notebook)

    def did_change(self, params: Params) -> None:
        """Cells were edited, made, moved or removed."""
        notebook = self._open.get(params["notebookDocument"]["uri"])
        if notebook is None:
            log.warning("%s was changed but is not open", params["notebookDocument"]["uri"])
            return
        cells = (params.get("change") or {}).get("cells") or {}
        gone = self._restructure(notebook, cells.get("structure") or {})
        for cell in cells.get("data") or ():
            uri, kind = _of(cell)
            notebook.order = [(each, kind if each == uri else old) for each, old in notebook.order]
        for content in cells.get("textContent") or ():
            self._edit(notebook, content["document"], content["changes"])
        notebook.rebuild()
        notebook.is_typed_in = True
        present = set(notebook.layout.uris)
        self._clear(uri for uri in [*gone, *self._cells_of(notebook)] if uri not in present)
        self._scheduler.touch(notebook)

    def did_close(self, params: Params) -> None:
        """A notebook was closed, with its cells."""
        notebook = self._open.pop(params["notebookDocument"]["uri"], None)
        if notebook is None:
            log.warning("%s was closed but is not open", params["notebookDocument"]["uri"])
            return
        uris = self._cells_of(notebook)
        for uri in uris:
            del self._by_cell[uri]
        self._clear(uris)
        self._documents.remove(notebook)
        self._scheduler.close(notebook)
        self._closed(notebook)

    def _cells_of(self, notebook: Notebook) -> list[str]:
        return [uri for uri, owner in self._by_cell.items() if owner is notebook]

    def _restructure(self, notebook: Notebook, structure: Mapping[str, Any]) -> list[str]:
        array = structure.get("array")
        if array is not None:
            start, made = int(array["start"]), [_of(cell) for cell in array.get("cells") or []]
            notebook.order[start : start + int(array["deleteCount"])] = made
        closed = [item["uri"] for item in structure.get("didClose") or ()]
        for uri in closed:
            notebook.texts.pop(uri, None)
            self._by_cell.pop(uri, None)
        self._open_cells(notebook, structure.get("didOpen") or [])
        return closed

    def _open_cells(self, notebook: Notebook, items: Iterable[Mapping[str, Any]]) -> None:
        for item in items:
            if item.get("languageId", PYTHON) == PYTHON:
                notebook.texts[item["uri"]] = Document(item["uri"], item.get("version"), item["text"])
                self._by_cell[item["uri"]] = notebook

    def _edit(self, notebook: Notebook, identifier: Mapping[str, Any], changes: Iterable[Mapping[str, Any]]) -> None:
        text = notebook.texts.get(identifier["uri"])
        if text is None:
            log.warning("%s was changed but is no cell of %s", identifier["uri"], notebook.uri)
            return
        text.edit(identifier.get("version"), changes, self._documents.encoding)

    # -- what is said to the client

    def publish(self, snapshot: Snapshot, diagnostics: str) -> None:
        """Tell the client those `diagnostics` of the module that have changed, cell by cell."""
        notebook = self._documents.by_label(snapshot.label)
        if not isinstance(notebook, Notebook) or snapshot.revision not in notebook.layouts:
            return
        layout = notebook.layouts[snapshot.revision]
        by_cell = self._by_cell_of(layout, diagnostics)
        for uri, version in zip(layout.uris, layout.versions, strict=True):
            found = version, by_cell[uri]
            if self._published.get(uri) != found:
                self._published[uri] = found
                self._connection.write(publication(uri, *found))

    def of_cell(self, uri: str) -> Notebook | None:
        """The notebook that the cell `uri` belongs to."""
        return self._by_cell.get(uri)

    def version_of(self, uri: str) -> int | None:
        """The client's version of the cell `uri`."""
        notebook = self._by_cell.get(uri)
        return notebook.texts[uri].version if notebook is not None else None

    def of_cells(self, notebook: Document, diagnostics: str) -> dict[str, str]:
        """The diagnostics of the module that an open notebook is now, by the URIs of its cells; JSON lists all."""
        return self._by_cell_of(notebook.layout, diagnostics) if isinstance(notebook, Notebook) else {}

    def _by_cell_of(self, layout: Layout, diagnostics: str) -> dict[str, str]:
        by_cell: dict[str, list[Any]] = {uri: [] for uri in layout.uris}
        for diagnostic in json.loads(diagnostics):
            place = layout.place(diagnostic["range"])
            if place is not None:
                by_cell[place[0]] += self._to_cells([diagnostic], Asked(layout, layout.uris.index(place[0])))
        return {uri: json.dumps(found, separators=(",", ":")) for uri, found in by_cell.items()}

    def _clear(self, uris: Iterable[str]) -> None:
        """There is nothing to be shown any more for cells that are gone."""
        for uri in uris:
            if self._published.pop(uri, None) is not None:
                self._connection.write(publication(uri, None, "[]"))

    # -- requests

    def inward(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message about a cell as one about its notebook; any other as it is."""
        params = message.get("params")
        item = params.get("textDocument") if isinstance(params, dict) else None
        uri = item.get("uri") if isinstance(item, dict) else None
        notebook = self._by_cell.get(uri) if isinstance(uri, str) else None
        if params is None or item is None or notebook is None or uri not in notebook.layout.uris:
            return message
        asked = Asked(notebook.layout, notebook.layout.uris.index(uri))
        if "id" in message:
            self._asked[message["id"]] = asked
            while len(self._asked) > MOST_ASKED:
                self._asked.pop(next(iter(self._asked)), None)
        return {**message, "params": {**from_cells(params, asked), "textDocument": {**item, "uri": notebook.uri}}}

    def in_module(self, uri: str, line: int) -> tuple[str, int]:
        """The notebook's URI and a line of its module, from 0, for a line of the cell `uri`; what is no cell, as it is.
        From any thread."""
        notebook = self._by_cell.get(uri)
        layout = notebook.layout if notebook is not None else None
        if layout is None or uri not in layout.uris:
            return uri, line
        return layout.uri, layout.cells.line(layout.uris.index(uri), line + 1) - 1

    def outward(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message to the client, in terms of cells. From any thread."""
        asked = None if "method" in message else self._asked.pop(message.get("id"), None)
        if not self._open and asked is None:
            return message
        return {
            key: self._to_cells(value, asked) if key in ("result", "params") else value
            for key, value in message.items()
        }

    def _to_cells(self, value: Any, asked: Asked | None) -> Any:
        return to_cells(value, asked, self._layout, self._documents.encoding)

    def _layout(self, uri: str, version: object) -> Layout | None:
        """How the notebook with this URI was made at a version, by default that of now."""
        notebook = self._open.get(uri)
        if notebook is None:
            return None
        return notebook.layouts.get(version) if isinstance(version, int) else notebook.layout


def _of(cell: Mapping[str, Any]) -> tuple[str, int]:
    return str(cell["document"]), int(cell.get("kind", CODE))
