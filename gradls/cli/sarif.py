"""Findings in SARIF 2.1.0, which code hosting sites show beside a change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from gradls import __version__
from gradls.cli.records import Record
from gradls.rules.page import markdown_of, page
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "information": "note", "hint": "note"}


def sarif(findings: Sequence[Record], errors: Sequence[Record]) -> dict[str, Any]:
    """A SARIF log with one run."""
    codes = {finding["code"] for finding in findings}
    rules = [_rule(rule) for rule in all_rules() if rule.code in codes]
    notifications = [
        {"level": "error", "message": {"text": error["message"]}, "locations": [_location({**error, "column": 1})]}
        for error in errors
    ]
    run = {
        "tool": {"driver": {"name": "gradls", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not errors, "toolExecutionNotifications": notifications}],
        "results": [_result(finding) for finding in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": page(type(rule)).title},
        "help": {"text": markdown_of(rule), "markdown": markdown_of(rule)},
        "defaultConfiguration": {"level": LEVELS[rule.severity.value]},
    }


def _result(finding: Record) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding["code"],
        "level": LEVELS[finding["severity"]],
        "message": {"text": finding["message"]},
        "locations": [_location(finding)],
    }
    if finding["related"]:
        steps = [{"location": {**_location(step), "message": {"text": step["message"]}}} for step in finding["related"]]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
        result["relatedLocations"] = [step["location"] for step in steps]
    fixes = [_fix(fix) for fix in finding["fixes"] if "cell" not in finding or "file_edits" in fix]
    if fixes:
        result["fixes"] = fixes
    return result


def _fix(fix: Record) -> dict[str, Any]:
    edits = fix.get("file_edits") or fix["edits"]
    paths = dict.fromkeys(edit["path"] for edit in edits)
    changes = [
        {
            "artifactLocation": _artifact(path),
            "replacements": [
                {"deletedRegion": _region(edit), "insertedContent": {"text": edit["text"]}}
                for edit in edits
                if edit["path"] == path
            ],
        }
        for path in paths
    ]
    return {"description": {"text": fix["title"]}, "artifactChanges": changes}


def _location(place: Record) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": _artifact(place["path"]), "region": _region(place)}
    }
    if "cell" in place:
        location["logicalLocations"] = [{"name": f"cell {place['cell']}, line {place['line']}"}]
    return location


def _artifact(path: str) -> dict[str, str]:
    if os.path.isabs(path):
        return {"uri": PurePath(path).as_uri()}
    return {"uri": quote(path.replace(os.sep, "/"))}


def _region(place: Record) -> dict[str, int]:
    if "cell" in place:
        return {"startLine": place["file_line"]}
    region = {"startLine": place["line"], "startColumn": place["column"]}
    if "end_line" in place:
        region |= {"endLine": place["end_line"], "endColumn": place["end_column"]}
    return region
