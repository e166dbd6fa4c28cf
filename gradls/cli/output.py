"""Writing to stdout and stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from gradls import __version__
from gradls.cli.records import Record, named
from gradls.syntax.text import visible


def as_json(content: Mapping[str, Any]) -> str:
    """One JSON object on a line, in ASCII so that no terminal or pipe encoding can spoil it."""
    tool = {"version": 1, "tool": {"name": "gradls", "version": __version__}}
    return json.dumps({**tool, **content}) + "\n"


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(as_json(content))


def warn(message: str) -> None:
    """A sentence on stderr."""
    print(f"gradls: {visible(message)}", file=sys.stderr)


def warn_of_plugins() -> None:
    """Say on stderr which rules of others are left out."""
    from gradls.rules.registry import plugins  # all rules are imported with it

    for problem in plugins().problems:
        warn(f"a plugin is left out: {problem}")


def print_errors(errors: Iterable[Record]) -> None:
    """Files that could not be read, and the like, on stderr."""
    for error in errors:
        column = f"{error['column']}:" if "column" in error else ""
        warn(f"{named(error)}:{error['line']}:{column} {error['message']}")
