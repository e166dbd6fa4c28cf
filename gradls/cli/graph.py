"""`gradls graph`."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from gradls.cli.analysis import graph_file, lost_file
from gradls.cli.inputs import Inputs, UsageError
from gradls.cli.main import FAILED, FOUND, FOUND_NOTHING
from gradls.cli.names import analyse
from gradls.cli.output import print_errors, print_json, warn
from gradls.cli.pool import work
from gradls.picture.model import Picture
from gradls.picture.render import FORMATS, render


def graph(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status: 1 if there is nothing to draw."""
    path, line, cell = arguments.place
    form = arguments.format or _format_of(arguments.output)
    arguments.paths = [path]
    try:
        inputs = Inputs(arguments)
        if not inputs.tasks or os.path.isdir(path):
            raise UsageError(f"{path} is no file")
    except UsageError as error:
        warn(str(error))
        return FAILED
    draw = partial(graph_file, line, cell, arguments.boxes)
    ((_, report),) = analyse(partial(work, draw, lost=lost_file, jobs=1), inputs.tasks, arguments)
    print_errors([*inputs.problems, *report.errors])
    if report.picture is None:
        if report.reason:
            warn(report.reason)
            return FOUND
        return FAILED
    return _write(report.picture, form, arguments.output)


def _format_of(output: str | None) -> str:
    """By the name of the file that is written."""
    suffix = Path(output or "").suffix.lower().removeprefix(".")
    return {"htm": "html", "gv": "dot"}.get(suffix, suffix if suffix in FORMATS else "svg")


def _write(picture: Picture, form: str, output: str | None) -> int:
    if form == "json" and output is None:
        print_json({"picture": picture.to_json()})
        return FOUND_NOTHING
    text = render(picture, form, lambda path: Path(os.path.abspath(path)).as_uri()).encode("utf-8")
    if output is None or output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        return FOUND_NOTHING
    try:
        Path(output).write_bytes(text)
    except OSError as error:
        warn(f"{output} could not be written: {error.strerror or error}")
        return FAILED
    return FOUND_NOTHING
