"""Findings in SARIF 2.1.0, which code hosting sites show beside a change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from gradls import __version__
from gradls.cli.fingerprints import from_folder
from gradls.cli.records import Record
from gradls.rules.page import markdown_of, page
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "%SRCROOT%"
FINGERPRINT = "gradls/v1"
LEVELS = {"error": "error", "warning": "warning", "information": "note", "hint": "note"}


def sarif(findings: Sequence[Record], errors: Sequence[Record], base: str) -> dict[str, Any]:
    """A SARIF log with one run; paths as seen from the folder `base`."""
    codes = {finding["code"] for finding in findings}
    rules = [rule for rule in all_rules() if rule.code in codes]
    index = {rule.code: number for number, rule in enumerate(rules)}
    paths = _Paths(base)
    notifications = [
        {
            "level": "error",
            "message": {"text": error["message"]},
            "locations": [paths.location({"column": 1, **error})],
        }
        for error in errors
    ]
    run = {
        "tool": {"driver": {"name": "gradls", "version": __version__, "rules": [*map(_rule, rules)]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not errors, "toolExecutionNotifications": notifications}],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "results": [{"ruleIndex": index[finding["code"]], **_result(finding, paths)} for finding in findings],
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


def _result(finding: Record, paths: _Paths) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding["code"],
        "level": LEVELS[finding["severity"]],
        "message": {"text": finding["message"]},
        "locations": [paths.location(finding)],
        "partialFingerprints": {FINGERPRINT: finding["fingerprint"]},
    }
    if finding["related"]:
        steps = [
            {"location": {**paths.location(step), "message": {"text": step["message"]}}} for step in finding["related"]
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
        result["relatedLocations"] = [step["location"] for step in steps]
    fixes = [paths.fix(fix) for fix in finding["fixes"] if "cell" not in finding or "file_edits" in fix]
    if fixes:
        result["fixes"] = fixes
    return result


class _Paths:
    """Places and edits, with paths as seen from the folder `base`."""

    def __init__(self, base: str) -> None:
        self._base = base

    def fix(self, fix: Record) -> dict[str, Any]:
        edits = fix.get("file_edits") or fix["edits"]
        paths = dict.fromkeys(edit["path"] for edit in edits)
        changes = [
            {
                "artifactLocation": self._artifact(path),
                "replacements": [
                    {"deletedRegion": _region(edit), "insertedContent": {"text": edit["text"]}}
                    for edit in edits
                    if edit["path"] == path
                ],
            }
            for path in paths
        ]
        return {"description": {"text": fix["title"]}, "artifactChanges": changes}

    def location(self, place: Record) -> dict[str, Any]:
        location: dict[str, Any] = {
            "physicalLocation": {"artifactLocation": self._artifact(place["path"]), "region": _region(place)}
        }
        if "cell" in place:
            location["logicalLocations"] = [{"name": f"cell {place['cell']}, line {place['line']}"}]
        return location

    def _artifact(self, path: str) -> dict[str, str]:
        seen = from_folder(path, self._base)
        if os.path.isabs(seen):
            return {"uri": PurePath(seen).as_uri()}
        return {"uri": quote(seen), "uriBaseId": ROOT}


def _region(place: Record) -> dict[str, int]:
    if "cell" in place:
        return {"startLine": place["file_line"]}
    region = {"startLine": place["line"], "startColumn": place["column"]}
    if "end_line" in place:
        region |= {"endLine": place["end_line"], "endColumn": place["end_column"]}
    return region
