"""The servers and commands that are measured. Peers look at other things than gradls: what counts is the waiting."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.results import Table
from benchmarks.setup import PEERS

PROGRAMS = {"ruff": "ruff", "ty": "ty", "pyrefly": "pyrefly", "basedpyright": "basedpyright", "TorchFix": "torchfix"}


@dataclass(frozen=True, slots=True)
class Server:
    """A language server. `finds` is the fault that it reports: a lost `gradient` or an `undefined` name."""

    name: str
    command: list[str]
    finds: str = "undefined"


def find(name: str) -> str | None:
    """The path of a program: beside the running Python, in the environment of the peers, or on PATH."""
    places = [os.path.dirname(sys.executable), str(PEERS / "bin"), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(places))


def gradls_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gradls", *arguments]


def add_option(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """`--beside`, which peers to measure."""
    parser.add_argument(
        "--beside",
        type=lambda text: [name for name in text.split(",") if name],
        default=list(names),
        metavar="PEERS",
        help=f"which to measure besides gradls, with commas between them; '' for none (default: {','.join(names)})",
    )


SERVER_ARGUMENTS = {"ruff": ["server"], "ty": ["server"], "pyrefly": ["lsp"], "basedpyright": ["--stdio"]}
SERVERS = list(SERVER_ARGUMENTS)


def servers(wanted: Iterable[str], table: Table) -> Iterator[Server]:
    """gradls and the wanted peers. `table` gets the notes on which these are, and which are missing."""
    yield Server("gradls", gradls_command("server"), "gradient")
    versions = []
    for name in wanted:
        program = find("basedpyright-langserver" if name == "basedpyright" else PROGRAMS[name])
        if program is None:
            table.notes.append(missing(name))
            continue
        versions.append(version(name))
        yield Server(name, [program, *SERVER_ARGUMENTS[name]])
    if versions:
        table.notes.append(f"Beside {', '.join(versions)}.")


def missing(name: str) -> str:
    return f"{name} is not installed: `python -m benchmarks.setup` installs it."


def version(name: str) -> str:
    """The name and the version of a peer that is there."""
    program = find(PROGRAMS[name])
    run = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    words = run.stdout.split()
    return f"{name} {next((word for word in words if word[:1].isdigit()), '')}".strip()
