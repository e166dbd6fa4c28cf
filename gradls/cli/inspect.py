"""`gradls inspect`."""

from __future__ import annotations

import argparse
import sys

from gradls.cli.analysis import inspect_file, lost_file
from gradls.cli.inputs import Inputs, UsageError
from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.names import analyse
from gradls.cli.output import print_errors, print_json, warn
from gradls.cli.records import Record, error_record

_REQUIRES = {True: "requires grad", False: "no grad", None: "grad unknown"}
_LEAF = {True: "leaf", False: "not a leaf", None: "leaf or not unknown"}


def inspect(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        inputs = Inputs(arguments)
    except UsageError as error:
        warn(str(error))
        return FAILED
    reports = [report for _, report in analyse(inspect_file, inputs.tasks, lost_file, arguments)]
    errors = [error_record(*problem) for problem in inputs.problems]
    errors.extend(error for report in reports for error in report.errors)
    if arguments.format == "json":
        files = [{"path": report.path, "tensors": report.tensors} for report in reports]
        print_json({"files": files, "errors": errors})
    else:
        print_errors(errors)
        for report in reports:
            sys.stdout.writelines(_line(report.path, tensor) for tensor in report.tensors)
    return FAILED if any(report.failed for report in reports) else FOUND_NOTHING


def _line(path: str, tensor: Record) -> str:
    place = f"{path}:{tensor['line']}:{tensor['column']}-{tensor['end_line']}:{tensor['end_column']}"
    dtype = tensor["dtype"] or "dtype unknown"
    return f"{place}: {_REQUIRES[tensor['requires_grad']]}, {dtype}, {_LEAF[tensor['leaf']]}\n"
