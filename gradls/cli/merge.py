"""`gradls merge`: the reports of several machines as one."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.outcome import at_least
from gradls.cli.output import warn

_SEVERITIES = {"error": "error", "warning": "warning", "note": "information"}
"""What levels of SARIF count as."""
_STRANGE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


class BadReport(Exception):
    """A file that is no report which can be merged: a sentence that names it."""


def merge(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status is that which `check` would have had."""
    try:
        reports = [_read(path) for path in arguments.reports]
        kinds = {"runs" in report for report in reports}
        if len(kinds) > 1:
            raise BadReport("reports in JSON and in SARIF cannot be merged into one")
        versions = sorted({_version(report) for report in reports})
        if len(versions) > 1:
            raise BadReport(f"the reports are of different versions of gradls: {', '.join(versions)}")
        merged, severities = (_sarif if True in kinds else _json)(reports)
    except BadReport as error:
        warn(str(error))
        return FAILED
    except _STRANGE as error:
        warn(f"the reports are not as gradls writes them ({type(error).__name__}: {error})")
        return FAILED
    try:
        _write(json.dumps(merged) + "\n", arguments.output)
    except OSError as error:
        if error.filename is None:
            raise
        warn(f"{arguments.output} could not be written: {error.strerror}")
        return FAILED
    is_loud = at_least(arguments.severity)
    loud = any(is_loud({"severity": severity}) for severity in severities)
    return FOUND if loud and not arguments.exit_zero else FOUND_NOTHING


def _read(path: str) -> dict[str, Any]:
    """A report of gradls."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            report = json.load(file)
    except OSError as error:
        raise BadReport(f"{path} could not be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadReport(f"{path} could not be read: {error}") from None
    try:
        _version(report)
        if "runs" not in report and "findings" not in report:
            raise BadReport(f"{path} has no findings: reports with --statistics cannot be merged")
    except _STRANGE:
        raise BadReport(f"{path} is no report of gradls in JSON or SARIF") from None
    return report


def _version(report: dict[str, Any]) -> str:
    """The version of gradls that wrote a report. It raises one of `_STRANGE` if that is none."""
    tool = report["runs"][0]["tool"]["driver"] if "runs" in report else report["tool"]
    if tool["name"] != "gradls":
        raise ValueError(tool["name"])
    return str(tool["version"])


def _json(reports: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    findings = _distinct(finding for report in reports for finding in report["findings"])
    findings.sort(key=lambda finding: [finding[key] for key in ("path", "line", "column", "code")])
    errors = _distinct(error for report in reports for error in report["errors"])
    merged = {**{key: reports[0][key] for key in ("version", "tool")}, "findings": findings, "errors": errors}
    if any("fixed" in report for report in reports):
        fixed = Counter[tuple[str, str]]()
        for entry in (entry for report in reports for entry in report.get("fixed", ())):
            fixed[entry["code"], entry["name"]] += entry["count"]
        merged["fixed"] = [{"code": code, "name": name, "count": count} for (code, name), count in fixed.items()]
    if any("baseline" in report for report in reports):
        # What is gone cannot be added up: each machine counts all entries of files that are not there any more.
        merged["baseline"] = {"known": sum(report["baseline"]["known"] for report in reports if "baseline" in report)}
    return merged, [finding["severity"] for finding in findings]


def _sarif(reports: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    runs = [run for report in reports for run in report["runs"]]
    rules = {rule["id"]: rule for run in runs for rule in run["tool"]["driver"]["rules"]}
    ordered = [rules[code] for code in sorted(rules)]
    number = {rule["id"]: index for index, rule in enumerate(ordered)}
    results = _distinct({**result, "ruleIndex": number[result["ruleId"]]} for run in runs for result in run["results"])
    results.sort(key=_place_in_sarif)
    invocations = [invocation for run in runs for invocation in run["invocations"]]
    notifications = _distinct(each for made in invocations for each in made["toolExecutionNotifications"])
    successful = all(made["executionSuccessful"] for made in invocations)
    run = {
        **runs[0],
        "tool": {"driver": {**runs[0]["tool"]["driver"], "rules": ordered}},
        "invocations": [{"executionSuccessful": successful, "toolExecutionNotifications": notifications}],
        "results": results,
    }
    return {**reports[0], "runs": [run]}, [_SEVERITIES[result["level"]] for result in results]


def _place_in_sarif(result: dict[str, Any]) -> tuple[str, int, int, str]:
    place = result["locations"][0]["physicalLocation"]
    region = place["region"]
    return place["artifactLocation"]["uri"], region["startLine"], region.get("startColumn", 1), result["ruleId"]


def _distinct(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each record once: files that several machines looked at are told of by several."""
    return list({json.dumps(record, sort_keys=True): record for record in records}.values())


def _write(text: str, path: str | None) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
