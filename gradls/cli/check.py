"""`gradls check`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from gradls.cli.baselines import Baselines
from gradls.cli.fingerprints import add_fingerprints, repository
from gradls.cli.fixing import Fixes, mend_all, write
from gradls.cli.inputs import STDIN, Inputs, Task, UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.memory import Memory, kept
from gradls.cli.names import analyse
from gradls.cli.outcome import Outcome, at_least
from gradls.cli.output import print_errors, warn, warn_of_plugins
from gradls.cli.pool import Pool
from gradls.cli.printing import print_outcome
from gradls.cli.records import Report
from gradls.cli.shards import shared_out
from gradls.cli.text import fixed
from gradls.cli.watch import watch
from gradls.rules.registry import plugins
from gradls.syntax.text import visible

_WITH_EDITS = ("json", "sarif")
_ONCE = ("fix", "diff", "output", "write_baseline", "prune_baseline", "shard", "dask")
"""What --watch does not do again and again."""


def check(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        _refuse_contradictions(arguments)
        if arguments.watch:
            return watch(arguments, partial(_show, arguments))
        inputs = Inputs(arguments)
        inputs.tasks = shared_out(arguments, inputs.tasks)
        baselines = Baselines(arguments, inputs.tasks)
    except UsageError as error:
        warn(str(error))
        return FAILED
    warn_of_plugins()
    if arguments.dask is None:
        return _run(arguments, inputs, baselines, arguments.jobs)
    from gradls.cli.cluster import ClusterError, cluster

    try:
        with cluster(arguments.dask, next((task.path for task in inputs.tasks if task.data is None), None)) as pool:
            return _run(arguments, inputs, baselines, pool)
    except ClusterError as error:
        warn(str(error))
        return FAILED


def _run(arguments: argparse.Namespace, inputs: Inputs, baselines: Baselines, jobs: int | Pool | None) -> int:
    with_edits = arguments.format in _WITH_EDITS
    with kept(arguments) as folders, closing(Memory(with_edits, jobs, folders.results)) as memory:
        told = analyse(memory.reports, inputs.tasks, arguments, folders.answers)
        # A diff is of what `--fix` would do: with both, it is not done.
        fixes = arguments.fix and not arguments.diff
        outcome = _fix(arguments, told, memory, jobs) if fixes else Outcome([report for _, report in told])
    outcome.problems = inputs.problems
    try:
        if arguments.diff:
            _print_diff(arguments, told, outcome, jobs)
        _settle(outcome, baselines)
        if not arguments.diff:
            print_outcome(arguments, outcome)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is None:
            raise
        warn(f"{error.filename} could not be written: {error.strerror}")
        return FAILED
    return _status(arguments, outcome.reports)


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    """UsageError for options that do not go together."""
    if arguments.diff and (arguments.format != "text" or arguments.statistics or arguments.output):
        raise UsageError("--diff prints a diff: it does not go with --format, --statistics or --output")
    if arguments.fix and STDIN in arguments.paths and arguments.format not in ("text", "concise"):
        raise UsageError("--fix prints what was on stdin, fixed: that does not go with --format")
    if arguments.dask is not None and arguments.jobs is not None:
        raise UsageError("--jobs is for this machine, --dask for others")
    if arguments.unsafe_fixes and not (arguments.fix or arguments.diff):
        raise UsageError("--unsafe-fixes says which fixes --fix and --diff make: it needs one of them")
    if arguments.statistics and arguments.format not in ("text", "json"):
        raise UsageError("--statistics come as text or json")
    if (arguments.write_baseline or arguments.prune_baseline) and (arguments.diff or not arguments.use_baseline):
        raise UsageError("--write-baseline and --prune-baseline go neither with --diff nor with --no-baseline")
    if arguments.watch and (STDIN in arguments.paths or arguments.format not in ("text", "concise")):
        raise UsageError("--watch prints text, about files: it goes neither with stdin nor with formats for programs")
    if arguments.watch and any(getattr(arguments, name) for name in _ONCE):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in _ONCE)
        raise UsageError(f"--watch only looks: it does not go with {options}")
    if arguments.output and not os.path.isdir(os.path.dirname(os.path.abspath(arguments.output))):
        raise UsageError(f"{arguments.output} could not be written: there is no such folder")


def _show(arguments: argparse.Namespace, inputs: Inputs, told: Sequence[tuple[Task, Report]]) -> None:
    """Print what one look of `--watch` came to."""
    outcome = Outcome([report for _, report in told], inputs.problems)
    _settle(outcome, Baselines(arguments, inputs.tasks))
    print_outcome(arguments, outcome)


def _settle(outcome: Outcome, baselines: Baselines) -> None:
    add_fingerprints(outcome.findings, repository(os.getcwd()))
    baselines.apply(outcome)


def _print_diff(
    arguments: argparse.Namespace, told: Sequence[tuple[Task, Report]], outcome: Outcome, jobs: int | Pool | None
) -> None:
    mended = mend_all(told, arguments.unsafe_fixes, jobs)
    print_errors(outcome.errors)
    diffs = "".join(mended[number].diff for number in sorted(mended))
    # What is piped is to be a patch; a terminal must not follow what is in it.
    sys.stdout.write(visible(diffs.replace("\r\n", "\n").replace("\t", "    ")) if sys.stdout.isatty() else diffs)
    if mended:
        made = sum((each.made for each in mended.values()), Fixes())
        print(f"Would fix {fixed(made)}", file=sys.stderr)


def _fix(
    arguments: argparse.Namespace, told: Sequence[tuple[Task, Report]], memory: Memory, jobs: int | Pool | None
) -> Outcome:
    """Make the fixes, and see what is left. All are worked out before the first is written: files import each other."""
    tasks, made = write(told, mend_all(told, arguments.unsafe_fixes, jobs))
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
