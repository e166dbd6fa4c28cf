"""Places in notebooks: from lines of the module that the cells are to cells and their lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gradls.cli.records import Record, Report
from gradls.syntax.source import Span
from gradls.workspace.notebook import Notebook, Stored


def locate(report: Report, stored: Stored) -> None:
    """Give the places of `report` that are in the notebook which it is about their cell.

    Those get the keys `cell` (the number of the cell among all cells of the notebook, from 1) and `file_line` (the line
    of the notebook's file); `line` and `end_line` count in the cell then. The reports of other files stay as they are.
    """
    if not isinstance(stored, Notebook):
        return
    for record in _places(report):
        _locate(record, stored)
    for finding in report.findings:
        for fix in finding["fixes"]:
            for edit in fix.get("edits", ()):
                if _is_of(edit["path"], stored):
                    _locate_edit(edit, stored)
    for (path, line), text in list(report.excerpts.items()):
        if isinstance(line, int) and _is_of(path, stored):
            cell, within = stored.cells.place(line)
            report.excerpts[path, (stored.numbers[cell], within)] = text


def _places(report: Report) -> Iterator[Record]:
    yield from report.errors
    yield from report.tensors
    for finding in report.findings:
        yield finding
        for step in finding["related"]:
            if os.path.abspath(step["path"]) == os.path.abspath(report.path):
                yield step


def _is_of(path: str, notebook: Notebook) -> bool:
    return os.path.abspath(path) == os.path.abspath(notebook.path)


def _locate(record: Record, notebook: Notebook) -> None:
    cells = notebook.cells
    if not cells.cells:
        return
    cell, line = cells.place(record["line"])
    record |= {"cell": notebook.numbers[cell], "line": line, "file_line": notebook.line_of(cell, line)}
    if "end_line" in record:
        until, end_line = cells.place(record["end_line"])
        if until != cell:
            # A statement that has not been closed yet goes on in the next cell.
            end_line, record["end_column"] = len(cells.cells[cell].lines) + 1, 1
        record["end_line"] = end_line


def _locate_edit(record: Record, notebook: Notebook) -> None:
    span = Span(record["line"], record["column"], record["end_line"], record["end_column"])
    edit = notebook.cells.edit(span, record["text"])
    if edit is not None:
        keys = ("line", "column", "end_line", "end_column")
        record |= {"cell": notebook.numbers[edit.cell], **dict(zip(keys, edit.span, strict=True)), "text": edit.text}
