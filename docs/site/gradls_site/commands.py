"""The reference of the command line, from the parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial

from gradls_site.markdown import escaped

WIDTH = 90


def commands_page(parser: argparse.ArgumentParser) -> str:
    """The commands of `parser` and their arguments, in Markdown."""
    parts = ["# Command line", escaped(parser.description or "")]
    for name, command in _commands(parser):
        parts += [f"## {parser.prog} {name} {{ #{name} }}", escaped(command.description or "")]
        parts.append(f"```text\n{_usage(command)}\n```")
        for title, actions in (("argument", _positional(command)), ("option", _optional(command))):
            if actions:
                rows = [f"| {title} | |", "|---|---|", *map(_row, actions)]
                parts.append("\n".join(rows))
        if command.epilog:
            parts.append(escaped(command.epilog))
    return "\n\n".join(parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _usage(command: argparse.ArgumentParser) -> str:
    command.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)  # not that of a terminal
    return command.format_usage().removeprefix("usage: ").strip()


def _positional(command: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in command._actions if not action.option_strings and action.help is not argparse.SUPPRESS]


def _optional(command: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in command._actions
        if action.option_strings
        and action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._HelpAction)
    ]


def _row(action: argparse.Action) -> str:
    if action.option_strings:
        value = "" if action.nargs == 0 else f" {_value(action)}".rstrip()
        names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
    else:
        names = f"`{_value(action)}`"
    about = escaped(re.sub(r"%\((\w+)\)s", lambda found: str(getattr(action, found[1])), action.help or ""))
    if action.choices and action.metavar is None and not action.option_strings:
        about += f" ({', '.join(map(str, action.choices))})"
    return f"| {names} | {about} |"


def _value(action: argparse.Action) -> str:
    if action.metavar:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if isinstance(action, argparse.BooleanOptionalAction):
        return ""
    return "\\|".join(map(str, action.choices)) if action.choices else action.dest.upper()
