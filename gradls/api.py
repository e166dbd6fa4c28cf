"""gradls as a library: `from gradls import Session, Finding`. docs/api.md shows how.

What is documented here is kept as it is within a major version; everything below may change.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradls.cli.fixing import mend
from gradls.cli.notebooks import locate
from gradls.cli.records import Record, Report, error_record, finding_record
from gradls.workspace.config import config_from, load_config
from gradls.workspace.files import Text, Unreadable
from gradls.workspace.notebook import Notebook, Stored, is_notebook, stored
from gradls.workspace.project import project_root
from gradls.workspace.selection import unknown_selectors
from gradls.workspace.session import Session as _Session


@dataclass(frozen=True, slots=True)
class Location:
    """A range of a file. Lines and columns count from 1, columns in code points; the end is exclusive. In a notebook
    `cell` is the number of the cell among all its cells, from 1, and lines count in the cell."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    cell: int | None = None

    def __str__(self) -> str:
        cell = f":cell {self.cell}" if self.cell is not None else ""
        return f"{self.path}{cell}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the story that a finding tells, and what happens there."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace what is at `location` by `text`."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that mends a finding. `is_safe`: it keeps the meaning or is clearly intended. Edits do not overlap."""

    title: str
    is_safe: bool
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake: the rule's `code` and `name`, a `severity` (`"error"`, `"warning"`, `"information"`, `"hint"`), where
    it is, what to know about it, the `story` of it in order, and `fixes`."""

    code: str
    name: str
    severity: str
    message: str
    location: Location
    story: tuple[Step, ...] = ()
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        return f"{self.location}: {self.severity} {self.code} {self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something of a file was not checked: a line that does not parse, say."""

    path: str
    line: int
    message: str
    cell: int | None = None


class Session:
    """Checks the files and texts of one project, and keeps what it learned: a text that is checked again after an edit
    costs what the edit touches. Nothing that is checked is imported or run. For one thread at a time.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        select: Iterable[str] = (),
        ignore: Iterable[str] = (),
        target_torch: str | None = None,
    ) -> None:
        """`root` is the folder of the project: imports are looked up there, and its `gradls.toml` or `pyproject.toml`
        counts. By default that is the project around the current folder. `select` is used instead of the one in the
        configuration, `ignore` besides it, and `target_torch` instead, such as `"2.6"`.

        ValueError for a rule or a version that there is none of.
        """
        self.root = Path(os.path.abspath(root)) if root is not None else project_root(os.getcwd())
        config, select, ignore = load_config(self.root), tuple(select), tuple(ignore)
        for selector in unknown_selectors([*select, *ignore]):
            raise ValueError(f"no rule is called {selector!r}")
        config = dataclasses.replace(config, select=select or config.select, ignore=(*config.ignore, *ignore))
        if target_torch is not None:
            given = config_from({"target-torch": target_torch})
            for problem in given.problems:
                raise ValueError(problem.message)
            config = dataclasses.replace(config, target_torch=given.target_torch)
        self._session = _Session(self.root, config)
        self._stored: dict[str, Stored] = {}

    def check(self, path: str | os.PathLike[str], text: str | None = None) -> list[Finding]:
        """The findings in a Python file or a notebook, in the order of its text. `text` is what counts as its content,
        if that is not what is on disk; then there need not be a file.

        OSError if the file cannot be opened, ValueError if it is no text, or no notebook.
        """
        label = os.fspath(path)
        content = self._opened(label, text)
        return [_finding(record) for record in self._report(label, content).findings]

    def problems(self, path: str | os.PathLike[str]) -> list[Problem]:
        """What kept parts of a file, which was checked before (else KeyError), from being checked."""
        label = os.fspath(path)
        return [
            Problem(record["path"], record["line"], record["message"], record.get("cell"))
            for record in self._report(label, self._stored[label]).errors
        ]

    def fixed(self, path: str | os.PathLike[str], text: str | None = None) -> str:
        """The content of a file, or `text`, with all safe fixes made. Nothing is written. Errors are those of
        `check`."""
        label = os.fspath(path)
        content = self._opened(label, text)
        new, _ = mend(self._session, label, content)
        self._session.change(label, content.text, content.cells)
        return new.stored

    def forget(self, path: str | os.PathLike[str]) -> None:
        """Let go of what is known of a file: what other files see of it is what is on disk."""
        label = os.fspath(path)
        self._stored.pop(label, None)
        self._session.close(label)

    def _opened(self, label: str, text: str | None) -> Stored:
        content = _content(label, text)
        if label in self._stored:
            self._session.change(label, content.text, content.cells)
        else:
            self._session.open(label, content.text, content.cells)
        self._stored[label] = content
        self._session.changed_on_disk(*self._session.looked_at())
        return content

    def _report(self, label: str, content: Stored) -> Report:
        report = Report(label)
        report.findings = [finding_record(each, self._session, True) for each in self._session.findings(label)]
        report.errors = [error_record(label, each.message, each.line) for each in self._session.problems(label)]
        locate(report, content)
        return report


def _content(label: str, text: str | None) -> Stored:
    try:
        if text is None:
            return stored(Path(label).read_bytes(), label)
        return Notebook.read(text.encode(), label) if is_notebook(label) else Text(text)
    except Unreadable as error:
        raise ValueError(f"{label} {error}") from error


def _finding(record: Record) -> Finding:
    return Finding(
        record["code"],
        record["name"],
        record["severity"],
        record["message"],
        _location(record),
        tuple(Step(_location(step), step["message"]) for step in record["related"]),
        tuple(_fix(fix) for fix in record["fixes"]),
    )


def _fix(record: Record) -> Fix:
    edits = tuple(Edit(_location(edit), edit["text"]) for edit in record["edits"])
    return Fix(record["title"], record["safety"] == "safe", edits)


def _location(place: dict[str, Any]) -> Location:
    start, end = (place["line"], place["column"]), (place["end_line"], place["end_column"])
    return Location(place["path"], *start, *end, place.get("cell"))
