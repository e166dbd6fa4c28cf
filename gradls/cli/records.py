"""What the analysis of a file hands to the terminal: plain data, which travels between processes and into JSON.

The dictionaries are those of the JSON output. Lines and columns count from 1, columns in code points, ends exclusive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradls.flow.names import Question
from gradls.rules.finding import Finding, Fix, Place, TextEdit
from gradls.syntax.source import Span
from gradls.syntax.text import visible
from gradls.workspace.identity import identity
from gradls.workspace.session import Session

if TYPE_CHECKING:
    from gradls.picture.model import Picture

Record = dict[str, Any]
Excerpts = dict[tuple[str, int | tuple[int, int]], str]


@dataclass(slots=True)
class Report:
    """What was found in one file.

    `excerpts` are the lines that findings stand on, by path and line, in a notebook by cell and line. `failed` says
    that the file was asked for by name and not read, or that gradls itself made a mistake. `questions` is what the
    analysis would like to know about imports. `elsewhere` has the tensors of other files in the calls that this one
    makes, by path; like `tensors` they say whether the code is `called`. `state` is the digest of the file's content,
    and `looked` what other paths were looked at, with their states; None if they changed meanwhile.
    `picture` is what was to be drawn, and `reason` says why there is none.
    """

    path: str
    findings: list[Record] = field(default_factory=list)
    errors: list[Record] = field(default_factory=list)
    excerpts: Excerpts = field(default_factory=dict)
    tensors: list[Record] = field(default_factory=list)
    elsewhere: dict[str, list[Record]] = field(default_factory=dict)
    questions: frozenset[Question] = frozenset()
    failed: bool = False
    state: str | None = None
    looked: dict[str, str] | None = None
    picture: Picture | None = None
    reason: str = ""

    def fail(self, message: str, line: int = 1) -> None:
        """Note something that makes the exit status 2."""
        error = error_record(self.path, message, line)
        if error not in self.errors:
            self.errors.append(error)
        self.failed = True

    def take_failures(self, other: Report) -> None:
        """Note what failed in `other`, a report on the same file."""
        if other.failed:
            self.errors += [error for error in other.errors if error not in self.errors]
            self.failed = True


def error_record(path: str, message: str, line: int = 1) -> Record:
    """An entry of the list `errors`."""
    return {"path": path, "line": line, "message": message}


def span_record(span: Span) -> Record:
    """A range as the four numbers that tools read."""
    return {"line": span.line, "column": span.column, "end_line": span.end_line, "end_column": span.end_column}


def finding_record(finding: Finding, session: Session, with_edits: bool) -> Record:
    """An entry of the list `findings`; its fixes are those that can be made, with their edits if wanted."""
    fixes = [_fix_record(fix, session, with_edits) for fix in finding.fixes]
    return {
        "path": finding.path,
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        **span_record(finding.span),
        "message": finding.message,
        **identity(finding)._asdict(),
        "related": [
            {"path": step.place.source.path, **span_record(step.place.span), "message": step.message}
            for step in finding.story
        ],
        "fixes": [fix for fix in fixes if fix is not None],
    }


def _fix_record(fix: Fix, session: Session, with_edits: bool) -> Record | None:
    record: Record = {"title": fix.title, "safety": fix.safety.value}
    if with_edits:
        edits = session.edits(fix)
        if edits is None:
            return None
        record["edits"] = [_edit_record(edit) for edit in edits]
    return record


def _edit_record(edit: TextEdit) -> Record:
    return {"path": edit.path, **span_record(edit.span), "text": edit.text}


def fixable(findings: Iterable[Record]) -> dict[str, int]:
    """How many findings have a `safe` fix, and how many only ones that want a reader (`unsafe`)."""
    safety = [{fix["safety"] for fix in finding["fixes"]} for finding in findings]
    safe = sum("safe" in each for each in safety)
    return {"safe": safe, "unsafe": sum(map(bool, safety)) - safe}


def named(place: Record) -> str:
    """The file of a place, in a notebook with the cell, to be shown."""
    path = visible(str(place["path"])).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return f"{path}:cell {place['cell']}" if "cell" in place else path


def excerpts(finding: Finding) -> Excerpts:
    """The first line of the finding and of each step of its story."""
    found: Excerpts = {}
    for place in [finding.place, *(step.place for step in finding.story)]:
        found.update(_excerpt(place))
    return found


def excerpt_key(place: Record) -> tuple[str, int | tuple[int, int]]:
    """Where the line of a place is among the excerpts."""
    return place["path"], (place["cell"], place["line"]) if "cell" in place else place["line"]


def _excerpt(place: Place) -> Excerpts:
    line, lines = place.span.line, place.source.lines
    return {(place.source.path, line): lines[line - 1].rstrip("\r\n")} if line <= len(lines) else {}
