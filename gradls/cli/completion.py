"""`gradls completion`: a script with which a shell completes what is typed behind `gradls`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import shtab

from gradls.cli.arguments import parser
from gradls.cli.main import FOUND_NOTHING
from gradls.rules.registry import all_rules

_FILES = ("PATH", "FILE", "TEXT|FILE", "OUT", "NAME", "FILE:LINE", "REPORT")
_FOLDERS = ("FOLDER",)
_RULES = ("RULES", "CODE|NAME|WORDS")
"""What the arguments are called for which a shell offers files, folders and rules."""


def completion(shell: str) -> int:
    """Print the script for `shell`; the exit status."""
    described = parser()
    rules = _words([key for rule in all_rules() for key in (rule.code, rule.name)])
    for action in _actions(described):
        offered = {
            **dict.fromkeys(_FILES, shtab.FILE),
            **dict.fromkeys(_FOLDERS, shtab.DIRECTORY),
            **dict.fromkeys(_RULES, rules),
        }.get(str(action.metavar))
        if offered is not None:
            action.complete = offered  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(described, shell) + "\n")
    return FOUND_NOTHING


def _actions(described: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in described._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action


def _words(words: list[str]) -> dict[str, object]:
    """What offers the words, as shtab wants it for each shell."""
    listed = " ".join(words)
    return {
        "bash": "_gradls_rules",
        "zsh": f"({listed})",
        "fish": listed,
        "preamble": {"bash": f'_gradls_rules() {{\n  compgen -W "{listed}" -- "$1"\n}}'},
    }
