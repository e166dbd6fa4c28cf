"""The outcome of `gradls check` in the format that was asked for."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from gradls.cli.fingerprints import repository
from gradls.cli.outcome import Outcome, at_least
from gradls.cli.output import as_json, print_errors, warn
from gradls.cli.text import console_for, fixed, print_concise, print_text, summary

DOCUMENTS = ("json", "sarif")
"""Formats that say themselves what could not be read."""


def print_outcome(arguments: argparse.Namespace, outcome: Outcome) -> None:
    """Write the report to stdout, or the file that the arguments name. OSError if that cannot be written."""
    if arguments.format not in DOCUMENTS:
        print_errors(outcome.errors)
    sys.stdout.flush()
    sys.stdout.buffer.writelines(outcome.fixed)
    with _output(arguments.output, bool(outcome.fixed)) as out:
        if arguments.statistics:
            _print_statistics(arguments, outcome, out)
        elif arguments.format == "concise":
            print_concise(outcome.findings, out)
        elif arguments.format == "text":
            print_text(outcome, out)
        else:
            out.write(_document(arguments, outcome))
    if outcome.fixes and arguments.format != "text" and not arguments.output:
        print(f"Fixed {fixed(outcome.fixes)}", file=sys.stderr)
    if not outcome.reports:
        warn("there are no Python files and no notebooks to check")
    if arguments.output:
        console_for(sys.stderr if outcome.fixed else sys.stdout).print(summary(outcome))


@contextmanager
def _output(path: str | None, to_stderr: bool) -> Iterator[TextIO]:
    if path is None:
        yield sys.stderr if to_stderr else sys.stdout
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        yield file


def _document(arguments: argparse.Namespace, outcome: Outcome) -> str:
    base = repository(os.getcwd())
    findings, errors = outcome.findings, outcome.errors
    if arguments.format == "json":
        fixed = [{"code": code, "name": name, "count": count} for (code, name), count in outcome.fixes.items()]
        more: dict[str, object] = {"fixed": fixed} if arguments.fix else {}
        if outcome.known is not None:
            more["baseline"] = {"known": outcome.known, "gone": outcome.gone}
        return as_json({"findings": findings, "errors": errors, **more})
    if arguments.format == "sarif":
        from gradls.cli.sarif import sarif  # it renders pages of rules

        return json.dumps(sarif(findings, errors, base)) + "\n"
    if arguments.format == "junit":
        from gradls.cli.junit import junit

        return junit(outcome.reports, outcome.problems, base, at_least(arguments.severity))
    from gradls.cli.services import github, gitlab

    if arguments.format == "gitlab":
        return json.dumps(gitlab(findings, base), indent=2) + "\n"
    return github(findings, errors, base)


def _print_statistics(arguments: argparse.Namespace, outcome: Outcome, out: TextIO) -> None:
    from gradls.cli.statistics import statistics, table

    counted = statistics(outcome.findings)
    if arguments.format == "json":
        out.write(as_json({"statistics": counted, "errors": outcome.errors}))
        return
    console = console_for(out)
    console.print(table(counted), end="")
    console.print(summary(outcome))
