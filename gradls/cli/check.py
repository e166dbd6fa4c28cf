"""`gradls check`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from functools import partial

from gradls.cli.analysis import Wanted, check_file, lost_file
from gradls.cli.inputs import STDIN, Inputs, UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.names import analyse
from gradls.cli.output import print_errors, print_json, warn
from gradls.cli.pool import work
from gradls.cli.records import Report, error_record
from gradls.cli.text import print_concise, print_text
from gradls.rules.finding import Severity

_RANKS = {severity.value: rank for rank, severity in enumerate(reversed(Severity))}


def check(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        if arguments.diff and arguments.format != "text":
            raise UsageError("--diff prints a diff: it does not go with --format")
        if arguments.fix and STDIN in arguments.paths and arguments.format not in ("text", "concise"):
            raise UsageError("--fix prints what was on stdin, fixed: that does not go with --format")
        inputs = Inputs(arguments)
    except UsageError as error:
        warn(str(error))
        return FAILED
    wanted = Wanted(edits=arguments.format in ("json", "sarif"), excerpts=arguments.format == "text")
    told = analyse(partial(check_file, wanted), inputs.tasks, lost_file, arguments)
    reports = [report for _, report in told]
    if arguments.fix or arguments.diff:
        wanted = dataclasses.replace(wanted, fixing="diff" if arguments.diff else "write")
        reports = work(partial(check_file, wanted), [task for task, _ in told], lost_file, arguments.jobs)
    _print(arguments, reports, inputs.problems)
    return _status(arguments, reports)


def _print(arguments: argparse.Namespace, reports: Sequence[Report], problems: list[tuple[str, str]]) -> None:
    findings = [finding for report in reports for finding in report.findings]
    errors = [error_record(*problem) for problem in problems]
    errors.extend(error for report in reports for error in report.errors)
    if arguments.format == "json":
        print_json({"findings": findings, "errors": errors})
        return
    if arguments.format == "sarif":
        from gradls.cli.sarif import sarif  # it renders pages of rules

        sys.stdout.write(json.dumps(sarif(findings, errors)) + "\n")
        return
    print_errors(errors)
    if arguments.diff:
        sys.stdout.write("".join(report.diff for report in reports))
        return
    fixed = [report.content for report in reports if report.content is not None]
    sys.stdout.buffer.writelines(fixed)
    if arguments.format == "concise":
        print_concise(findings, to_stderr=bool(fixed))
    else:
        print_text(reports, to_stderr=bool(fixed))


def _status(arguments: argparse.Namespace, reports: Sequence[Report]) -> int:
    if any(report.failed for report in reports):
        return FAILED
    least = _RANKS[arguments.severity]
    loud = any(_RANKS[finding["severity"]] >= least for report in reports for finding in report.findings)
    return FOUND if loud and not arguments.exit_zero else FOUND_NOTHING
