"""`gradls inspect`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

from gradls.cli.analysis import inspect_file, lost_file
from gradls.cli.inputs import Inputs, UsageError
from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.memory import kept
from gradls.cli.names import analyse
from gradls.cli.output import print_errors, print_json, warn
from gradls.cli.pool import work
from gradls.cli.records import Record, Report, named

_SPAN = ("cell", "file_line", "line", "column", "end_line", "end_column")
_REQUIRES = {True: "requires grad", False: "no grad", None: "grad unknown"}
_LEAF = {True: "leaf", False: "not a leaf", None: "leaf or not unknown"}


def inspect(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        inputs = Inputs(arguments)
    except UsageError as error:
        warn(str(error))
        return FAILED
    with kept(arguments) as folders:
        run = partial(work, inspect_file, lost=lost_file, jobs=arguments.jobs)
        told = analyse(run, inputs.tasks, arguments, folders.answers)
    reports = [report for _, report in told]
    tensors = seen_together(reports)
    errors = inputs.problems
    errors.extend(error for report in reports for error in report.errors)
    if arguments.format == "json":
        files = [{"path": path, "tensors": states} for path, states in tensors.items()]
        print_json({"files": files, "errors": errors})
    else:
        print_errors(errors)
        for path, states in tensors.items():
            sys.stdout.writelines(_line(path, tensor) for tensor in states)
    return FAILED if any(report.failed for report in reports) else FOUND_NOTHING


def seen_together(reports: Sequence[Report]) -> dict[str, list[Record]]:
    """The tensors of each file in the order of the text, by what all files together say.

    What is seen in code that runs counts before what is seen in functions that nobody in their file calls, and a call
    from another file, where its result is known, before a function by itself.
    """
    calls: dict[str, list[Record]] = {}
    for report in reports:
        for path, states in report.elsewhere.items():
            calls.setdefault(path, []).extend(states)
    found: dict[str, list[Record]] = {}
    for report in reports:
        by_span: dict[tuple[int, ...], list[list[Record]]] = {}
        for rank, states in ((1, calls.get(os.path.abspath(report.path), [])), (2, report.tensors)):
            for state in states:
                ranks = by_span.setdefault(tuple(state.get(key, 0) for key in _SPAN), [[], [], []])
                ranks[0 if state["called"] else rank].append(state)
        found[report.path] = [_together(span, *ranks) for span, ranks in sorted(by_span.items())]
    return found


def _together(
    span: tuple[int, ...], called: Sequence[Record], from_elsewhere: Sequence[Record], alone: Sequence[Record]
) -> Record:
    known = [state for state in from_elsewhere if state["requires_grad"] is not None or state["torn"]]
    if all(state["off"] for state in known):
        # Who calls it with gradients off does not say that nobody calls it with gradients on.
        known += alone
    seen = (called and [*called, *(state for state in known if state["torn"])]) or known or from_elsewhere
    merged: Record = {key: number for key, number in zip(_SPAN, span, strict=True) if number}
    for key in ("requires_grad", "dtype", "leaf"):
        values = {state[key] for state in seen}
        merged[key] = values.pop() if len(values) == 1 else None
    return merged


def _line(path: str, tensor: Record) -> str:
    file = named({**tensor, "path": path})
    place = f"{file}:{tensor['line']}:{tensor['column']}-{tensor['end_line']}:{tensor['end_column']}"
    dtype = tensor["dtype"] or "dtype unknown"
    return f"{place}: {_REQUIRES[tensor['requires_grad']]}, {dtype}, {_LEAF[tensor['leaf']]}\n"
