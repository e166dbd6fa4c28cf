"""Findings as GitHub's and GitLab's pages show them beside a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gradls.cli.fingerprints import from_folder
from gradls.cli.records import Record, named
from gradls.syntax.text import visible

_COMMANDS = {"error": "error", "warning": "warning", "information": "notice", "hint": "notice"}
_GRADES = {"error": "critical", "warning": "major", "information": "minor", "hint": "info"}


def github(findings: Iterable[Record], errors: Iterable[Record], base: str) -> str:
    """Workflow commands of GitHub Actions, one a line; paths as seen from the folder `base`."""
    lines = []
    for finding in findings:
        properties: dict[str, object] = {
            "title": f"gradls ({finding['code']})",
            "file": from_folder(finding["path"], base),
            "line": finding.get("file_line", finding["line"]),
        }
        if "cell" not in finding:
            properties |= {
                "col": finding["column"],
                "endLine": finding["end_line"],
                "endColumn": finding["end_column"],
            }
        place = f"{named(finding)}:{finding['line']}:{finding['column']}"
        message = f"{place}: {finding['code']} {finding['name']}: {finding['message']}"
        lines.append(_command(_COMMANDS[finding["severity"]], properties, message))
    for error in errors:
        properties = {"title": "gradls", "file": from_folder(error["path"], base), "line": error["line"]}
        lines.append(_command("warning", properties, error["message"]))
    return "".join(f"{line}\n" for line in lines)


def _command(name: str, properties: dict[str, object], message: str) -> str:
    given = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in properties.items())
    return f"::{name} {given}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    """`text` as it stands in a workflow command: what would end it, or a line of it, in percent encoding."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in visible(text))


def gitlab(findings: Sequence[Record], base: str) -> list[dict[str, Any]]:
    """A Code Quality report of GitLab, which knows a finding by its fingerprint; paths as seen from `base`."""
    return [
        {
            "description": f"{finding['code']} {finding['name']}: {finding['message']}",
            "check_name": finding["name"],
            "fingerprint": finding["fingerprint"],
            "severity": _GRADES[finding["severity"]],
            "location": {"path": from_folder(finding["path"], base), "lines": _lines(finding)},
        }
        for finding in findings
    ]


def _lines(finding: Record) -> dict[str, int]:
    if "cell" in finding:
        return {"begin": finding["file_line"]}
    return {"begin": finding["line"], "end": finding["end_line"]}
