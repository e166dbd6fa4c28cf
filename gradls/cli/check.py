"""`gradls check`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from gradls.cli.fingerprints import add_fingerprints, repository
from gradls.cli.fixing import Fixes, mend_all, write
from gradls.cli.inputs import STDIN, Inputs, Task, UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.memory import Memory, kept
from gradls.cli.names import analyse
from gradls.cli.outcome import Outcome, at_least
from gradls.cli.output import print_errors, warn, warn_of_plugins
from gradls.cli.printing import print_outcome
from gradls.cli.records import Report
from gradls.cli.text import fixed
from gradls.rules.registry import plugins

_WITH_EDITS = ("json", "sarif")


def check(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        _refuse_contradictions(arguments)
        inputs = Inputs(arguments)
    except UsageError as error:
        warn(str(error))
        return FAILED
    warn_of_plugins()
    with_edits = arguments.format in _WITH_EDITS
    with kept(arguments) as folders, closing(Memory(with_edits, arguments.jobs, folders.results)) as memory:
        told = analyse(memory.reports, inputs.tasks, arguments, folders.answers)
        if arguments.diff:
            return _diff(arguments, told, inputs)
        outcome = _fix(arguments, told, memory) if arguments.fix else Outcome([report for _, report in told])
    outcome.problems = inputs.problems
    add_fingerprints(outcome.findings, repository(os.getcwd()))
    try:
        print_outcome(arguments, outcome)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or arguments.output is None:
            raise
        warn(f"{arguments.output} could not be written: {error.strerror}")
        return FAILED
    return _status(arguments, outcome.reports)


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    """UsageError for options that do not go together."""
    if arguments.diff and (arguments.format != "text" or arguments.statistics or arguments.output):
        raise UsageError("--diff prints a diff: it does not go with --format, --statistics or --output")
    if arguments.fix and STDIN in arguments.paths and arguments.format not in ("text", "concise"):
        raise UsageError("--fix prints what was on stdin, fixed: that does not go with --format")
    if arguments.unsafe_fixes and not (arguments.fix or arguments.diff):
        raise UsageError("--unsafe-fixes says which fixes --fix and --diff make: it needs one of them")
    if arguments.statistics and arguments.format not in ("text", "json"):
        raise UsageError("--statistics come as text or json")
    if arguments.output and not os.path.isdir(os.path.dirname(os.path.abspath(arguments.output))):
        raise UsageError(f"{arguments.output} could not be written: there is no such folder")


def _diff(arguments: argparse.Namespace, told: Sequence[tuple[Task, Report]], inputs: Inputs) -> int:
    reports = [report for _, report in told]
    mended = mend_all(told, arguments.unsafe_fixes, arguments.jobs)
    print_errors([*inputs.problems, *(error for report in reports for error in report.errors)])
    sys.stdout.write("".join(mended[number].diff for number in sorted(mended)))
    if mended:
        made = sum((each.made for each in mended.values()), Fixes())
        print(f"Would fix {fixed(made)}", file=sys.stderr)
    return _status(arguments, reports)


def _fix(arguments: argparse.Namespace, told: Sequence[tuple[Task, Report]], memory: Memory) -> Outcome:
    """Make the fixes, and see what is left. All are worked out before the first is written: files import each other."""
    tasks, made = write(told, mend_all(told, arguments.unsafe_fixes, arguments.jobs))
    reports = memory.reports(tasks)
    for report, (_, before) in zip(reports, told, strict=True):
        report.take_failures(before)
    return Outcome(reports, fixes=dict(made), fixed=[task.data for task in tasks if task.data is not None])


def _status(arguments: argparse.Namespace, reports: Sequence[Report]) -> int:
    if plugins().problems or any(report.failed for report in reports):
        return FAILED
    is_loud = at_least(arguments.severity)
    loud = any(is_loud(finding) for report in reports for finding in report.findings)
    return FOUND if loud and not arguments.exit_zero else FOUND_NOTHING
