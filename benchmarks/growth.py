"""How cost grows with the size of a file and of a project: gradls, and peers beside it.

    python -m benchmarks.growth [--lines 500,...,20000] [--classes 10,...,160] [--files 10,...,5000]

A file of any size is made of a real one by repeating its functions and classes under new names; a project, by repeating
the smaller modules of a package, which import each other, in packages of other names.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path

from benchmarks import batch, edits, inputs, peers
from benchmarks.edits import expected, first_state, numbers
from benchmarks.lsp import Client
from benchmarks.peers import Server
from benchmarks.processes import Failed, usage
from benchmarks.processes import run as run_command
from benchmarks.results import Table, command, percentile, progress

MOST_LINES_OF_A_MODULE = 160
PEERS = ("ruff", "ty")


def _seconds(name: str, folder: Path, path: str, limit: float) -> float | str:
    """Seconds of CPU for a batch run of a tool on one core, or why there are none."""
    own = [*peers.gradls_command(*batch.CHECK), "--jobs", "1"]
    tool = own if name == "gradls" else [str(peers.find(peers.PROGRAMS[name])), *batch.ARGUMENTS[name]]
    try:
        return run_command([*tool, path], folder, inputs.cache_of(folder), limit).cpu
    except Failed as failed:
        return str(failed)


def _per_second(lines: int, seconds: float | str) -> float | str:
    return lines / seconds if isinstance(seconds, float) else seconds


def _opened(server: Server, probe: inputs.Probe, folder: Path, path: Path) -> tuple[float, float, float]:
    """Milliseconds to open a file in a server that has just started, the median edit of it, and megabytes then."""
    state = first_state(server, probe)
    text = probe.states[state].text
    path.write_text(text, encoding="utf-8")
    uri, taken = path.as_uri(), []
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        client.initialize()
        sent = client.open(uri, text)
        opening = client.published(uri, expected(server, probe, state)).at - sent
        time.sleep(edits.SETTLING)
        for _ in range(10):
            time.sleep(0.1)
            change, state = probe.changes[state], 1 - state
            sent = client.change(uri, change)
            taken.append(client.published(uri, expected(server, probe, state)).at - sent)
        return opening * 1000, percentile(taken, 0.5) * 1000, usage(client.process.pid).memory


def one_file(options: argparse.Namespace) -> Table:
    """A row for each number of lines."""
    source = inputs.installed(*inputs.TRAINING)
    table = Table(f"one file, made of {source.name}", ["lines", "open ms", "edit p50 ms", "batch lines per CPU s"])
    servers = list(peers.servers(options.beside, table))
    for server in servers[1:]:
        table.columns += [f"{server.name} edit p50 ms", f"{server.name} lines per CPU s"]
    for size in options.lines:
        text = inputs.sized(inputs.read(source), size)
        probe, lines = inputs.probe(text, "function"), text.count("\n")
        row: list[object] = []
        for server in servers:
            progress(f"one file of {lines} lines: {server.name}")
            with inputs.project() as folder:
                path = folder / "edited.py"
                try:
                    opening, edit, _ = _opened(server, probe, folder, path)
                    row += [opening, edit] if server.name == "gradls" else [edit]
                except Failed as failed:
                    row += [str(failed)] * (2 if server.name == "gradls" else 1)
                path.write_text(text, encoding="utf-8")
                row.append(_per_second(lines, _seconds(server.name, folder, path.name, options.seconds)))
        table.add(lines, *row)
    return table


TRAINER = """

class Trainer{0}:
    def __init__(self, rate):
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        self.critic = torch.nn.Linear(3, 1)
        self.first = torch.optim.Adam(self.net.parameters(), lr=rate)
        self.second = torch.optim.Adam(self.critic.parameters(), lr=rate)

    def train(self, batches):
        total = 0.0
        for x, y in batches:
            loss = torch.nn.functional.mse_loss(self.net(x), y)
            self.first.zero_grad()
            loss.backward()
            self.first.step()
            value = self.critic(x).pow(2).mean()
            self.second.zero_grad()
            value.backward()
            self.second.step()
            total += loss.item()
        return total
"""
"""Much of what rules put together for a whole file: models, optimizers, and the order in which they are trained."""


def many_trainers(options: argparse.Namespace) -> Table:
    """A row for each number of classes that train two models each."""
    table = Table("one file of classes that train", ["classes", "lines", "open ms", "edit p50 ms", "memory MB"])
    server = next(iter(peers.servers([], table)))
    for classes in options.classes:
        text = "import torch\n" + "".join(TRAINER.format(number) for number in range(classes))
        progress(f"one file of {classes} classes")
        with inputs.project() as folder:
            try:
                row = _opened(server, inputs.probe(text, "method"), folder, folder / "edited.py")
            except Failed as failed:
                table.add(classes, text.count("\n"), str(failed))
            else:
                table.add(classes, text.count("\n"), *row)
    return table


def make_project(folder: Path, files: int) -> tuple[int, Path]:
    """Fill `folder` with so many modules in packages; return their lines and the last of them."""
    package = inputs.installed("vit_pytorch", "torch/nn/modules")
    known = {path.stem: inputs.read(path) for path in sorted(package.glob("*.py")) if path.stem != "__init__"}
    small = [stem for stem, text in known.items() if text.count("\n") <= MOST_LINES_OF_A_MODULE]
    lines, path = 0, folder
    for number in range(files):
        copied, stem = f"copied_{number // len(small)}", small[number % len(small)]
        text = re.sub(rf"^(from|import) {package.name}\b", rf"\1 {copied}", known[stem], flags=re.MULTILINE)
        path = folder / copied / f"{stem}.py"
        if not path.parent.exists():
            path.parent.mkdir()
            (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
        lines += text.count("\n")
    return lines, path


def many_files(options: argparse.Namespace) -> Table:
    """A row for each number of files."""
    cores = os.cpu_count() or 1
    table = Table(
        f"a project, made of modules of at most {MOST_LINES_OF_A_MODULE} lines",
        ["files", "lines", f"batch on {cores} cores s", "CPU s", "lines per CPU s", "peak MB"],
    )
    servers = list(peers.servers(options.beside, table))
    table.columns += [f"{server.name} lines per CPU s" for server in servers[1:]]
    table.columns += ["open one ms", "edit p50 ms", "memory MB"]
    for files in options.files:
        with inputs.project() as folder:
            lines, path = make_project(folder, files)
            progress(f"a project of {files} files, {lines} lines")
            row: list[object] = [files, lines]
            try:
                done = run_command(
                    [*peers.gradls_command(*batch.CHECK), "."], folder, inputs.cache_of(folder), options.seconds
                )
                row += [done.wall, done.cpu, lines / done.cpu, done.peak]
            except Failed as failed:
                row += [str(failed), None, None, None]
            for server in servers[1:]:
                row.append(_per_second(lines, _seconds(server.name, folder, ".", options.seconds)))
            try:
                row += _opened(servers[0], inputs.probe(inputs.read(path), "function"), folder, path)
            except Failed as failed:
                row.append(str(failed))
            table.add(*row)
    return table


def run(options: argparse.Namespace) -> list[Table]:
    return [one_file(options), many_trainers(options), many_files(options)]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lines", type=numbers, default=[500, 1000, 2000, 5000, 10000, 20000])
    parser.add_argument("--classes", type=numbers, default=[10, 40, 160])
    parser.add_argument("--files", type=numbers, default=[10, 100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=120, help="the most for one batch run")
    peers.add_option(parser, PEERS)


if __name__ == "__main__":
    command("growth", __doc__, add_options, run)
