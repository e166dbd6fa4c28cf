"""Where the time goes: of starting and opening a file, and of an edit, by part of gradls.

    python -m benchmarks.profile [FILE] [--lines 4500] [--kind function] [--edits 200]

A server runs with a thread in it that looks a thousand times a second at what the others do. The figures are
milliseconds of CPU. Looking costs some itself: read them as shares, and take the sums from the other benchmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks import inputs
from benchmarks.edits import expected, first_state, kinds
from benchmarks.inputs import Input, Probe
from benchmarks.lsp import Client
from benchmarks.peers import Server
from benchmarks.processes import Failed
from benchmarks.results import Table, command, progress

MODULES = 12
"""How many modules are listed."""


class Seen:
    """Milliseconds by phase and by module."""

    def __init__(self) -> None:
        self.phases: Counter[str] = Counter()
        self.modules: Counter[str] = Counter()

    def add(self, report: dict[str, dict[str, float]], of: int) -> None:
        """What was seen, divided by the number of things that were done."""
        for counter, figures in ((self.phases, report["phases"]), (self.modules, report["modules"])):
            for name, seconds in figures.items():
                counter[name] += seconds * 1000 / of  # type: ignore[assignment]


def _server(report: Path) -> Server:
    root = Path(__file__).parents[1]
    program = (
        f"import sys; sys.path.insert(0, {str(root)!r}); "
        f"from pathlib import Path; from benchmarks.sampler import start; start(Path({str(report)!r})); "
        "from gradls.cli.main import main; sys.exit(main(['server']))"
    )
    return Server("gradls", [sys.executable, "-c", program], "gradient")


def _ask(client: Client, report: Path) -> dict[str, dict[str, float]]:
    """What the server has seen of itself since it was asked last."""
    report.unlink(missing_ok=True)
    os.kill(client.process.pid, signal.SIGUSR1)
    end = time.perf_counter() + 10
    while not report.exists():
        if time.perf_counter() > end:
            raise Failed("the server did not report")
        time.sleep(0.01)
    return dict(json.loads(report.read_text(encoding="utf-8")))


def measure(probe: Probe, folder: Path, edits: int) -> tuple[Seen, Seen, Seen]:
    """What a server does to start, to open the file and for one of so many edits."""
    report = folder.parent / "report.json"
    server, path = _server(report), folder / "edited.py"
    state = first_state(server, probe)
    text = probe.states[state].text
    path.write_text(text, encoding="utf-8")
    uri = path.as_uri()
    starting, opening, editing = Seen(), Seen(), Seen()
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        client.initialize()
        time.sleep(0.5)
        starting.add(_ask(client, report), 1)
        client.open(uri, text)
        client.published(uri, expected(server, probe, state))
        opening.add(_ask(client, report), 1)
        time.sleep(1)
        _ask(client, report)
        for _ in range(edits):
            change, state = probe.changes[state], 1 - state
            client.change(uri, change)
            client.published(uri, expected(server, probe, state))
            time.sleep(0.01)
        editing.add(_ask(client, report), edits)
    return starting, opening, editing


def run(options: argparse.Namespace) -> list[Table]:
    file = inputs.given(options.file) if options.file else inputs.standard([options.lines])[0]
    return [table for kind in options.kind for table in tables_of(file, kind, options.edits)]


def tables_of(file: Input, kind: str, edits: int) -> list[Table]:
    """By phase, and by module."""
    progress(f"{file.lines} lines, {kind}")
    with inputs.project() as folder:
        seen = measure(inputs.probe(file.text, kind), folder, edits)
    about = f"{file.lines:,} lines {file.about}, {inputs.KINDS[kind]}"
    columns = ["start ms", "open ms", "one edit ms", "share of an edit"]
    phases = Table(f"where the CPU time goes, {about}", ["phase", *columns])
    _fill(phases, [one.phases for one in seen], None)
    modules = Table(f"the {MODULES} modules that take most of an edit, {about}", ["module", *columns])
    _fill(modules, [one.modules for one in seen], MODULES)
    return [phases, modules]


def _fill(table: Table, seen: list[Counter[str]], most: int | None) -> None:
    names = sorted({name for counter in seen for name in counter}, key=lambda name: -seen[-1][name])
    total = sum(seen[-1].values()) or 1
    for name in names[:most]:
        table.add(name, *(float(counter[name]) for counter in seen), f"{seen[-1][name] / total:.0%}")
    table.add("all", *(float(sum(counter.values())) for counter in seen), "100%")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, help="the file to edit (default: see --lines)")
    parser.add_argument("--lines", type=int, default=4500, help="the size of a file to make of installed code")
    parser.add_argument("--kind", type=kinds, default=["function"], help=f"which edits: {', '.join(inputs.KINDS)}")
    parser.add_argument("--edits", type=int, default=200)


if __name__ == "__main__":
    command("profile", __doc__, add_options, run)
