"""Edit to diagnostics over the Language Server Protocol: gradls beside other servers.

    python -m benchmarks.edits [FILE...] [--kind function,method,line,top] [--lines 1000,4500,9000]

A fault near the middle of the file comes and goes with each edit. Measured is the time from the moment when the edit
is sent to that when the diagnostics of that version are there and say what must be said of it: gradls reports a loss
without gradient, the others a name that is not defined, and the same edit makes and mends both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import inputs, peers
from benchmarks.inputs import KINDS, UNDEFINED, Input, Probe
from benchmarks.lsp import Client, Json
from benchmarks.peers import Server
from benchmarks.processes import Failed, Usage, usage
from benchmarks.results import Table, command, percentile, progress, ratio

SETTLING = 1.0
"""Seconds after the file was opened, in which servers finish what they do on the side."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds from each edit to its diagnostics, milliseconds of CPU for each, and what is taken at the end."""

    taken: list[float]
    cpu: float
    end: Usage


def expected(server: Server, probe: Probe, state: int) -> Callable[[list[Json]], bool]:
    """Whether diagnostics say of a state what this server must say of it."""
    wanted = probe.has_fault(server.finds, state)

    def told(diagnostics: list[Json]) -> bool:
        if server.finds == "undefined":
            return any(UNDEFINED in diagnostic["message"] for diagnostic in diagnostics)
        return any(
            diagnostic["range"]["start"]["line"] == probe.line and diagnostic.get("severity", 1) <= 2
            for diagnostic in diagnostics
        )

    return lambda diagnostics: told(diagnostics) == wanted


def first_state(server: Server, probe: Probe) -> int:
    """The state in which a file is opened: one of which the server has something to say."""
    return next(state for state in (0, 1) if probe.has_fault(server.finds, state))


def measure(server: Server, probe: Probe, folder: Path, edits: int, spacing: float, seconds: float) -> Figures:
    """Edit until it has been done `edits` times or `seconds` are over. Failed if the server does not answer."""
    path = folder / "edited.py"
    state = first_state(server, probe)
    text = probe.states[state].text
    path.write_text(text, encoding="utf-8")
    uri = path.as_uri()
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        client.initialize()
        client.open(uri, text)
        client.published(uri, expected(server, probe, state))
        time.sleep(SETTLING)
        process = client.process.pid
        before = usage(process).cpu
        taken: list[float] = []
        end = time.perf_counter() + seconds
        while len(taken) < edits and (len(taken) < 5 or time.perf_counter() < end):
            time.sleep(spacing)
            change, state = probe.changes[state], 1 - state
            sent = client.change(uri, change)
            taken.append((client.published(uri, expected(server, probe, state)).at - sent) * 1000)
        time.sleep(0.5)
        after = usage(process)
        return Figures(taken, (after.cpu - before) * 1000 / len(taken), after)


def table_of(file: Input, kind: str, options: argparse.Namespace) -> Table:
    """gradls and its peers on one file, one kind of edit."""
    table = Table(
        f"{KINDS[kind]}, {file.lines:,} lines {file.about}",
        ["server", "edits", "p50 ms", "p95 ms", "max ms", "CPU ms per edit", "memory MB", "p50 beside gradls"],
    )
    try:
        probe = inputs.probe(file.text, kind)
    except (inputs.NoInput, SyntaxError) as error:
        table.notes.append(f"Not measured: {error}.")
        return table
    own: float | None = None
    for server in peers.servers(options.beside, table):
        progress(f"{kind}, {file.lines} lines: {server.name}")
        try:
            with inputs.project() as folder:
                figures = measure(server, probe, folder, options.edits, options.spacing / 1000, options.seconds)
        except Failed as failed:
            table.add(server.name, str(failed))
            continue
        middle = percentile(figures.taken, 0.5)
        own = middle if server.name == "gradls" else own
        end = figures.end
        memory = f"{end.memory:.0f}" + (f" and {end.helpers:.0f} for names" if end.helpers else "")
        high = percentile(figures.taken, 0.95), max(figures.taken)
        table.add(server.name, len(figures.taken), middle, *high, figures.cpu, memory, ratio(middle, own))
    return table


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files to edit (default: see --lines)")
    parser.add_argument(
        "--lines", type=numbers, default=[1000, 4500, 9000], help="the sizes of files to make of installed code"
    )
    parser.add_argument("--kind", type=kinds, default=["function"], help=f"which edits: {', '.join(KINDS)}")
    parser.add_argument("--edits", type=int, default=30)
    parser.add_argument("--spacing", type=float, default=100, metavar="MS", help="the pause between two edits")
    parser.add_argument("--seconds", type=float, default=30, help="the most for the edits of one server in one file")
    peers.add_option(parser, peers.SERVERS)


def numbers(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def kinds(text: str) -> list[str]:
    found = text.split(",")
    for kind in found:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"no kind of edit is called {kind!r}")
    return found


def run(options: argparse.Namespace) -> list[Table]:
    files = [inputs.given(path) for path in options.files] or inputs.standard(options.lines)
    return [table_of(file, kind, options) for kind in options.kind for file in files]


if __name__ == "__main__":
    command("edits", __doc__, add_options, run)
