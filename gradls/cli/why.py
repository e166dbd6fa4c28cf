"""`gradls why`: what an error means, and what in the user's code raised it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from gradls.cli.inputs import UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.notebooks import locate
from gradls.cli.output import print_json, warn
from gradls.cli.records import Record, Report, excerpts, finding_record
from gradls.errors.details import details
from gradls.errors.rank import Cause
from gradls.errors.table import Message
from gradls.errors.trace import Frame
from gradls.rules.registry import rules_by_key
from gradls.workspace.frames import Call
from gradls.workspace.notebook import Notebook
from gradls.workspace.reasons import Reasons, diff_of, reasons

MOST_BYTES = 4 << 20
"""So much is read of the end of a log."""
_LOGS = (".log", ".txt", ".out", ".err")


def why(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status: 0 if a cause was found in the code, 1 if not."""
    try:
        text = _text(arguments.error)
        if not os.path.isdir(arguments.folder):
            raise UsageError(f"{arguments.folder} is no folder")
        if not text.strip():
            raise UsageError("there is no error to explain: give its text, a file with it, or pipe it in")
    except UsageError as error:
        warn(str(error))
        return FAILED
    found = reasons(text, arguments.folder)
    for problem in found.problems:
        warn(problem)
    if arguments.format == "json":
        print_json(_record(found))
    else:
        from gradls.cli.why_text import print_reasons

        print_reasons(found, [shown_cause(found, cause) for cause in found.causes])
    return FOUND_NOTHING if found.causes else FOUND


def shown_cause(found: Reasons, cause: Cause) -> Report:
    """A cause as a report with one finding, whose fixes can be made and have a `diff` each."""
    finding = cause.finding
    report = Report(finding.path)
    record = finding_record(finding, found.session, True)
    report.findings.append(record)
    report.excerpts.update(excerpts(finding))
    made = [fix for fix in finding.fixes if found.session.edits(fix) is not None]
    for fix, of in zip(made, record["fixes"], strict=True):
        of["diff"] = diff_of(found, fix)
    text = found.texts.get(finding.path)
    if isinstance(text, Notebook):
        locate(report, text)
    return report


def _text(given: list[str]) -> str:
    """The text that the arguments are, name, or leave to stdin."""
    if given in ([], ["-"]):
        if sys.stdin.isatty():
            warn("paste the traceback, then end the input")
        return _decoded(sys.stdin.buffer.read())
    name = given[0]
    if len(given) > 1 or len(name.split()) > 1 or not (os.path.isfile(name) or _is_a_path(name)):
        return " ".join(given)
    if name.endswith((".py", ".pyi")):
        raise UsageError(f"{name} is a program: `gradls check {name}` says what is wrong with it")
    try:
        with open(name, "rb") as file:
            if not name.endswith(".ipynb"):
                file.seek(max(os.fstat(file.fileno()).st_size - MOST_BYTES, 0))
            content = file.read()
    except OSError as error:
        raise UsageError(f"{name} could not be read: {error.strerror or error}") from None
    return _error_of_notebook(content, name) if name.endswith(".ipynb") else _decoded(content)


def _is_a_path(name: str) -> bool:
    return os.sep in name or name.endswith((*_LOGS, ".py", ".ipynb"))


def _decoded(data: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return data.decode("utf-8-sig", "replace")


def _error_of_notebook(content: bytes, name: str) -> str:
    """The traceback of the last cell that failed."""
    try:
        cells = json.loads(content)["cells"]
        errors = [
            output for cell in cells for output in cell.get("outputs", ()) if output.get("output_type") == "error"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{name} could not be read: not a notebook") from None
    if not errors:
        raise UsageError(f"{name} has no cell that failed")
    last = errors[-1]
    return "\n".join(map(str, last.get("traceback") or [f"{last.get('ename')}: {last.get('evalue')}"]))


def _record(found: Reasons) -> dict[str, Any]:
    """The JSON that is printed."""
    return {
        "error": {
            "type": found.raised.type,
            "message": found.raised.message,
            "details": details(found.raised.message),
            "calls": [_call(call, found) for call in found.calls],
            "forward": [_call(call, found) for call in found.forward],
        },
        "meaning": _meaning(found.message) if found.message else None,
        "others": [message.name for message in found.others],
        "causes": [
            {
                **shown_cause(found, cause).findings[0],
                "likely": cause.is_likely,
                "about_the_message": cause.belongs,
                "nearness": cause.nearness.name.lower(),
            }
            for cause in found.causes
        ],
        "considered": [
            {"code": code, "name": rules_by_key()[code].name} for code in (found.message.rules if found.message else ())
        ],
        "errors": [{"message": problem} for problem in found.problems],
    }


def _meaning(message: Message) -> Record:
    return {
        "name": message.name,
        "says": message.title,
        "said": [{"says": old.says, "until": old.until, "note": old.note} for old in message.old],
        "means": message.means,
        "cause": message.cause,
        "fix": message.fix,
    }


def _call(call: Call, found: Reasons) -> Record:
    frame: Frame = call.frame
    record: Record = {"printed": {"path": frame.path, "line": frame.line}, "name": frame.name, "text": frame.text}
    if call.path is None:
        return record | {"path": None}
    record |= {"path": call.path, "line": call.line, "is_same": call.is_same}
    text = found.texts[call.path]
    if isinstance(text, Notebook):
        cell, line = text.cells.place(call.line)
        record |= {"cell": text.numbers[cell], "line": line, "file_line": text.line_of(cell, line)}
    return record
