"""From the start of a server to its first diagnostics of one file, and the memory then: gradls beside other servers.

    python -m benchmarks.startup [FILE...] [--lines 1000,4500] [--runs 5]

Each server is started in turn, again and again; the first round is not counted. `cold` is a server that finds nothing
of an earlier one, in a cache folder of its own; gradls is also started with what it kept.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import inputs, peers
from benchmarks.edits import expected, first_state, numbers
from benchmarks.inputs import Input, Probe
from benchmarks.lsp import Client
from benchmarks.peers import Server
from benchmarks.processes import Failed, Usage, usage
from benchmarks.results import Table, command, progress, ratio

AGAIN = "gradls, started again"


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds since the process was started, and what it takes when the fault has been told."""

    answered: float
    first: float
    told: float
    then: Usage


@dataclass
class Starts:
    """The starts of one server, or why there are none."""

    done: list[Start] = field(default_factory=list)
    failed: str | None = None


def start(server: Server, probe: Probe, folder: Path) -> Start:
    """Start a server and open a file. Failed if it does not answer."""
    path = folder / "opened.py"
    state = first_state(server, probe)
    text = probe.states[state].text
    path.write_text(text, encoding="utf-8")
    wanted = expected(server, probe, state)
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        answered = client.initialize()
        client.open(path.as_uri(), text)
        first = told = client.published(path.as_uri(), None)
        if not wanted(first.diagnostics):
            told = client.published(path.as_uri(), wanted)
        then = usage(client.process.pid)
        since = client.started
        if server.name == "gradls":
            time.sleep(0.5)  # for what it writes down for its next start
    return Start((answered - since) * 1000, (first.at - since) * 1000, (told.at - since) * 1000, then)


def table_of(file: Input, options: argparse.Namespace) -> Table:
    """gradls and its peers on one file."""
    table = Table(
        f"start to first diagnostics, {file.lines:,} lines {file.about}",
        ["server", "answers ms", "first diagnostics ms", "the fault ms", "CPU ms", "memory MB", "beside gradls"],
    )
    try:
        probe = inputs.probe(file.text, "function")
    except (inputs.NoInput, SyntaxError) as error:
        table.notes.append(f"Not measured: {error}.")
        return table
    servers = list(peers.servers(options.beside, table))
    starts: dict[str, Starts] = {}
    for number in range(options.runs + 1):
        progress(f"{file.lines} lines: round {number} of {options.runs}")
        for server in servers:
            with inputs.project() as folder:
                for name in (server.name, AGAIN) if server.name == "gradls" else (server.name,):
                    _start(starts.setdefault(name, Starts()), server, probe, folder, number > 0)
    own = _median(starts["gradls"].done, "told")
    for name, found in starts.items():
        if not found.done:
            table.add(name, found.failed)
            continue
        times = [_median(found.done, what) for what in ("answered", "first", "told")]
        cpu = statistics.median(one.then.cpu for one in found.done) * 1000
        memory = statistics.median(one.then.memory for one in found.done)
        table.add(name, *times, cpu, memory, ratio(times[-1], own))
    return table


def _start(starts: Starts, server: Server, probe: Probe, folder: Path, counts: bool) -> None:
    if starts.failed:
        return
    try:
        done = start(server, probe, folder)
    except Failed as failed:
        starts.failed = str(failed)
        return
    if counts:
        starts.done.append(done)


def _median(starts: list[Start], what: str) -> float | None:
    return statistics.median(getattr(one, what) for one in starts) if starts else None


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files to open (default: see --lines)")
    parser.add_argument(
        "--lines", type=numbers, default=[1000, 4500], help="the sizes of files to make of installed code"
    )
    parser.add_argument("--runs", type=int, default=5)
    peers.add_option(parser, peers.SERVERS)


def run(options: argparse.Namespace) -> list[Table]:
    files = [inputs.given(path) for path in options.files] or inputs.standard(options.lines)
    return [table_of(file, options) for file in files]


if __name__ == "__main__":
    command("startup", __doc__, add_options, run)
