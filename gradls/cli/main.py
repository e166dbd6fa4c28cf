"""The command line. Only what the arguments need is imported here; each command imports its own."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from gradls.cli.arguments import parser

FOUND_NOTHING, FOUND, FAILED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run `gradls` with `argv` (default: the process' own) and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        arguments = parser().parse_args(argv)
        status = COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has what it wants; Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _check(arguments: argparse.Namespace) -> int:
    from gradls.cli.check import check

    return check(arguments)


def _merge(arguments: argparse.Namespace) -> int:
    from gradls.cli.merge import merge

    return merge(arguments)


def _explain(arguments: argparse.Namespace) -> int:
    from gradls.cli.explain import explain

    return explain(" ".join(arguments.topic))


def _why(arguments: argparse.Namespace) -> int:
    from gradls.cli.why import why

    return why(arguments)


def _rules(arguments: argparse.Namespace) -> int:
    from gradls.cli.explain import list_rules

    return list_rules(arguments.format)


def _inspect(arguments: argparse.Namespace) -> int:
    from gradls.cli.inspect import inspect

    return inspect(arguments)


def _cache(arguments: argparse.Namespace) -> int:
    from gradls.cli.cache import cache

    return cache(arguments.action == "clear", arguments.cache_dir)


def _graph(arguments: argparse.Namespace) -> int:
    from gradls.cli.graph import graph

    return graph(arguments)


def _schema(arguments: argparse.Namespace) -> int:
    import json

    from gradls.workspace.schema import schema

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return FOUND_NOTHING


def _completion(arguments: argparse.Namespace) -> int:
    from gradls.cli.completion import completion

    return completion(arguments.shell)


def _server(arguments: argparse.Namespace) -> int:
    from gradls.server.main import serve

    return serve(arguments.tcp)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "merge": _merge,
    "why": _why,
    "explain": _explain,
    "rules": _rules,
    "inspect": _inspect,
    "cache": _cache,
    "graph": _graph,
    "schema": _schema,
    "completion": _completion,
    "server": _server,
}
"""What runs the commands, by name; each gives the exit status."""
