"""Places in notebooks: from lines of the module that the cells are to cells and their lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gradls.cli.records import Record, Report, span_record
from gradls.rules.finding import TextEdit
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
            _add_file_edits(fix, stored)
            for edit in fix.get("edits", ()):
                if _is_of(edit["path"], stored):
                    _locate_edit(edit, stored)
    for (path, line), text in list(report.excerpts.items()):
        if isinstance(line, int) and _is_of(path, stored):
            cell, within = stored.cells.place(line)
            report.excerpts[path, (stored.numbers[cell], within)] = text


def module_line(stored: Stored, line: int, cell: int) -> tuple[int, tuple[int, ...]]:
    """The line of the module that a line of a cell is, and the numbers of the code cells; `cell` is 0 in other files.

    LookupError, with a sentence for the user, if there is no such place.
    """
    if not isinstance(stored, Notebook):
        if cell:
            raise LookupError("only notebooks have cells")
        return line, ()
    if cell not in stored.numbers:
        known = ", ".join(map(str, stored.numbers[:12])) + (" …" if len(stored.numbers) > 12 else "")
        what = f"cell {cell} is none" if cell else "a place in a notebook is FILE:CELL:LINE"
        raise LookupError(f"{what}; the cells with code are {known}" if known else "there is no code in it")
    index = stored.numbers.index(cell)
    count = len(stored.cells.cells[index].lines)
    if line > count:
        raise LookupError(f"there is no line {line} in cell {cell}, which has {count}")
    return stored.cells.line(index, line), stored.numbers


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


def _add_file_edits(fix: Record, notebook: Notebook) -> None:
    """Give a fix the key `file_edits`: its edits as edits of the notebook's file."""
    edits = fix.get("edits", [])
    if not edits or not all(_is_of(edit["path"], notebook) for edit in edits):
        return
    try:
        made = notebook.file_edits(TextEdit(edit["path"], _span(edit), edit["text"]) for edit in edits)
    except ValueError:
        return
    fix["file_edits"] = [
        {"path": fix["edits"][0]["path"], **span_record(edit.span), "text": edit.text} for edit in made
    ]


def _span(record: Record) -> Span:
    return Span(record["line"], record["column"], record["end_line"], record["end_column"])


def _locate_edit(record: Record, notebook: Notebook) -> None:
    edit = notebook.cells.edit(_span(record), record["text"])
    if edit is not None:
        keys = ("line", "column", "end_line", "end_column")
        record |= {"cell": notebook.numbers[edit.cell], **dict(zip(keys, edit.span, strict=True)), "text": edit.text}
