"""Opening files in a server that runs already, to their first diagnostics: gradls beside other servers.

    python -m benchmarks.open [FILE...] [--lines 1000,4500,9000] [--runs 3]

First the files of a package one after the other, each in its place in the project, then one of each size. Every file
has a fault, and what is waited for is that it is told. Each server is started anew for each run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks import inputs, peers
from benchmarks.edits import expected, first_state, numbers
from benchmarks.inputs import NoInput, Probe
from benchmarks.lsp import Client
from benchmarks.peers import Server
from benchmarks.processes import Failed, usage
from benchmarks.results import Table, command, percentile, progress, ratio

PACKAGES = ("vit_pytorch", "torch/nn/modules")


class Opened(NamedTuple):
    """A file of a project, by its path in it, with a fault."""

    name: str
    probe: Probe


@dataclass
class Figures:
    """Milliseconds for each file, of each run; megabytes when all are open."""

    small: list[float] = field(default_factory=list)
    sized: list[list[float]] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def some_of(package: Path, number: int) -> list[Opened]:
    """Files of a package in which there is a place for a fault, spread over it."""
    found = []
    for path in sorted(package.rglob("*.py")):
        try:
            probe = inputs.probe(inputs.read(path), "function")
        except (NoInput, SyntaxError):
            continue
        if path.name != "__init__.py" and path.read_bytes().count(b"\n") > 40:
            found.append(Opened(f"{package.name}/{path.relative_to(package).as_posix()}", probe))
    return found[:: max(1, len(found) // number)][:number]


def measure(server: Server, folder: Path, small: list[Opened], sized: list[Opened], figures: Figures) -> None:
    """One start of a server, in a project that is there, opening all files. Failed if it does not answer."""
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        client.initialize()
        uri = (folder / "first.py").as_uri()
        client.open(uri, "import torch\n\nfirst = torch.zeros(3)\n")
        client.published(uri, None)
        time.sleep(1)
        figures.small += [_open(client, server, folder, file) for file in small]
        figures.sized.append([_open(client, server, folder, file) for file in sized])
        figures.memory.append(usage(client.process.pid).memory)


def _open(client: Client, server: Server, folder: Path, file: Opened) -> float:
    path = folder / file.name
    state = first_state(server, file.probe)
    text = file.probe.states[state].text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    sent = client.open(path.as_uri(), text)
    taken = client.published(path.as_uri(), expected(server, file.probe, state)).at - sent
    time.sleep(0.1)
    return taken * 1000


def run(options: argparse.Namespace) -> list[Table]:
    package = inputs.installed(*PACKAGES)
    given = [inputs.given(path) for path in options.files] or inputs.standard(options.lines)
    sized = [Opened(f"sized_{number}.py", inputs.probe(file.text, "function")) for number, file in enumerate(given)]
    small = some_of(package, options.small)
    sizes = [f"{file.lines:,} lines ms" for file in given]
    table = Table(
        f"opening {len(small)} files of {package.name}, then larger ones, in a running server",
        ["server", "p50 ms", "p95 ms", "max ms", *sizes, "memory MB", "p50 beside gradls"],
    )
    table.notes.append("; ".join(f"{file.lines:,} lines {file.about}" for file in given) + ".")
    own: float | None = None
    for server in peers.servers(options.beside, table):
        figures = Figures()
        try:
            for number in range(options.runs):
                progress(f"{server.name}: run {number + 1} of {options.runs}")
                with inputs.project() as folder:
                    inputs.copy_python(package, folder)
                    measure(server, folder, small, sized, figures)
        except Failed as failed:
            table.add(server.name, str(failed))
            continue
        middle = percentile(figures.small, 0.5)
        own = middle if server.name == "gradls" else own
        larger = [statistics.median(taken) for taken in zip(*figures.sized, strict=True)]
        high = percentile(figures.small, 0.95), max(figures.small)
        table.add(server.name, middle, *high, *larger, statistics.median(figures.memory), ratio(middle, own))
    return [table]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="the larger files (default: see --lines)")
    parser.add_argument(
        "--lines", type=numbers, default=[1000, 4500, 9000], help="the sizes of files to make of installed code"
    )
    parser.add_argument("--small", type=int, default=20, help="how many files of a package")
    parser.add_argument("--runs", type=int, default=3)
    peers.add_option(parser, peers.SERVERS)


if __name__ == "__main__":
    command("open", __doc__, add_options, run)
