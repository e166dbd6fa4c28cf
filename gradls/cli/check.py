"""`gradls check`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gradls.cli.analysis import Mended, lost_mending, mend_file
from gradls.cli.inputs import STDIN, Inputs, Task, UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.memory import Memory, kept
from gradls.cli.names import analyse
from gradls.cli.output import print_errors, print_json, warn
from gradls.cli.pool import work
from gradls.cli.records import Record, Report
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
    errors = inputs.problems
    with_edits = arguments.format in ("json", "sarif")
    with kept(arguments) as folders, closing(Memory(with_edits, arguments.jobs, folders.results)) as memory:
        told = analyse(memory.reports, inputs.tasks, arguments, folders.answers)
        reports = [report for _, report in told]
        if arguments.diff:
            _print_diff(reports, _mend(told, arguments.jobs), errors)
        elif arguments.fix:
            reports = _fix(arguments, told, memory, errors)
        else:
            _print(arguments, reports, errors)
    return _status(arguments, reports)


def _mend(told: Sequence[tuple[Task, Report]], jobs: int | None) -> dict[int, Mended]:
    """The files that have safe fixes, with these made, by their number. Failures go to the reports."""
    fixable = [
        number
        for number, (_, report) in enumerate(told)
        if any(fix["safety"] == "safe" for finding in report.findings for fix in finding["fixes"])
    ]
    found = {}
    results = work(mend_file, [told[number][0] for number in fixable], lost_mending, jobs)
    for number, (report, mended) in zip(fixable, results, strict=True):
        told[number][1].take_failures(report)
        if mended is not None and mended.diff:
            found[number] = mended
    return found


def _print_diff(reports: Sequence[Report], mended: dict[int, Mended], errors: list[Record]) -> None:
    print_errors([*errors, *(error for report in reports for error in report.errors)])
    sys.stdout.write("".join(mended[number].diff for number in sorted(mended)))


def _fix(
    arguments: argparse.Namespace, told: Sequence[tuple[Task, Report]], memory: Memory, errors: list[Record]
) -> list[Report]:
    """Make the safe fixes, and print what is left. All are worked out before the first is written: files import each
    other."""
    mended = _mend(told, arguments.jobs)
    tasks = [task for task, _ in told]
    for number, new in mended.items():
        task, report = told[number]
        if task.data is not None:
            tasks[number] = dataclasses.replace(task, data=new.content)
            continue
        try:
            Path(task.path).write_bytes(new.content)
        except OSError as error:
            report.fail(f"could not be written: {error}")
    reports = memory.reports(tasks)
    for report, (_, before) in zip(reports, told, strict=True):
        report.take_failures(before)
    count = sum(max(len(told[number][1].findings) - len(reports[number].findings), 0) for number in mended)
    _print(arguments, reports, errors, [task.data for task in tasks if task.data is not None], count)
    return reports


def _print(
    arguments: argparse.Namespace,
    reports: Sequence[Report],
    errors: list[Record],
    fixed: Sequence[bytes] = (),
    mended: int = 0,
) -> None:
    """`fixed` goes to stdout, where what is said about it then does not go; `mended` counts what was found before."""
    findings = [finding for report in reports for finding in report.findings]
    errors = [*errors, *(error for report in reports for error in report.errors)]
    if arguments.format == "json":
        print_json({"findings": findings, "errors": errors})
        return
    if arguments.format == "sarif":
        from gradls.cli.sarif import sarif  # it renders pages of rules

        sys.stdout.write(json.dumps(sarif(findings, errors)) + "\n")
        return
    print_errors(errors)
    sys.stdout.buffer.writelines(fixed)
    if arguments.format == "concise":
        print_concise(findings, to_stderr=bool(fixed))
    else:
        print_text(reports, mended, to_stderr=bool(fixed))


def _status(arguments: argparse.Namespace, reports: Sequence[Report]) -> int:
    if any(report.failed for report in reports):
        return FAILED
    least = _RANKS[arguments.severity]
    loud = any(_RANKS[finding["severity"]] >= least for report in reports for finding in report.findings)
    return FOUND if loud and not arguments.exit_zero else FOUND_NOTHING
