"""A day of work, as fast as the server can: does it say and take in the end what it did in the beginning?

    python -m tests.faults.soak FOLDER --edits 10000 --files 50 --others 300 --seed 1

FOLDER holds Python files; they are copied. Somebody types in some of them, takes back, deletes and pastes, asks for
hovers, hints, lenses and diagnostics in between, saves, closes and opens, works in a notebook, changes settings and the
configuration, and switches between two branches, which changes the other files on disk. What the server says of all
open files is compared with what a server says that has just begun.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lsp import Change
from benchmarks.memory import Typing
from tests.faults.wire import Wire, end, served

ABILITIES: dict[str, Any] = {
    "textDocument": {
        "publishDiagnostics": {"relatedInformation": True, "dataSupport": True},
        "hover": {"contentFormat": ["markdown"]},
    },
    "workspace": {
        "didChangeWatchedFiles": {"dynamicRegistration": True},
        "inlayHint": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
        "diagnostics": {"refreshSupport": True},
    },
    "notebookDocument": {"synchronization": {}},
}
CELLS = (
    "import torch\nfrom torch import nn\n",
    "m = nn.Linear(3, 1)\nloss = m(torch.randn(3)).detach()\n",
    "loss.backward()\n",
)
CONFIGURATIONS = ("[tool.gradls]\n", '[tool.gradls]\nignore = ["GRD5"]\n', '[tool.gradls]\nhints = "all"\n')
MOST_LINES = 3000


@dataclass
class Course:
    """What was measured: milliseconds by kind of thing, and what the server took, by how many edits had been made."""

    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: list[float] = field(default_factory=list)
    """Seconds of the server's processor at each edit."""
    samples: list[Sample] = field(default_factory=list)
    compared: int = 0
    drifts: list[str] = field(default_factory=list)


@dataclass
class Sample:
    """What the server and its children take: megabytes, and counts."""

    edits: int
    memory: float
    children: float
    processes: int
    threads: int
    files: int


class Open:
    """A file that somebody has open."""

    def __init__(self, path: Path, text: str, seed: int) -> None:
        self.path, self.uri, self.seed, self.version = path, path.as_uri(), seed, 0
        self.take(text)

    def take(self, text: str) -> None:
        """Go on with another text."""
        self.typing = Typing(text, self.seed)
        self.edits = self.typing.edits()

    @property
    def text(self) -> str:
        return "\n".join(self.typing.lines)


class Day:
    """One user, one server."""

    def __init__(
        self,
        wire: Wire,
        process: int,
        root: Path,
        files: dict[Path, str],
        opened: int,
        seed: int,
        environment: dict[str, str],
    ) -> None:
        self.wire, self.process, self.root = wire, process, root
        self.chance = random.Random(seed)
        self.branches = [files, {path: self._otherwise(text) for path, text in files.items()}]
        self.branch = 0
        self.settings: dict[str, Any] = {}
        self.course = Course()
        self.pulls, self.environment = False, environment
        chosen = self.chance.sample(sorted(files), min(opened, len(files)))
        self.open = {path: Open(path, files[path], number) for number, path in enumerate(chosen)}
        self.notebook = 0
        self._count = 0

    def begin(self, pulls: bool) -> None:
        """Start the editor with all files that are open in it."""
        self.pulls = pulls
        begin(self.wire, self.root, pulls)
        for each in self.open.values():
            self._opened(each)
        self.wire.settle()

    def edit(self) -> None:
        """One edit, until its diagnostics are there."""
        each = self.chance.choice(list(self.open.values()))
        change = next(each.edits)
        each.version += 1
        started = time.perf_counter()
        self.wire.change(each.uri, each.version, said(change))
        self._known(each)
        self.course.taken["edit"].append((time.perf_counter() - started) * 1000)
        self.course.cpu.append(cpu_of(self.process))
        if self.chance.random() < 0.1:
            self.look(each, change.start[0])
        if self.chance.random() < 0.04:
            self.save(each)
        if self.chance.random() < 0.01:
            self.reopen(each)

    def look(self, each: Open, line: int) -> None:
        """What an editor asks for when the cursor rests."""
        at = {"line": line, "character": self.chance.randrange(20)}
        area = {"start": {"line": max(0, line - 30), "character": 0}, "end": {"line": line + 30, "character": 0}}
        document = {"textDocument": {"uri": each.uri}}
        self._ask("textDocument/hover", {**document, "position": at})
        self._ask("textDocument/inlayHint", {**document, "range": area})
        self._ask("textDocument/codeLens", document)
        self._ask("textDocument/documentHighlight", {**document, "position": at})
        self._ask("textDocument/codeAction", {**document, "range": area, "context": {"diagnostics": []}})

    def save(self, each: Open) -> None:
        """The file has the text that the editor has."""
        each.path.write_text(each.text, encoding="utf-8", newline="")
        self._changed([each.path])
        self.wire.notify("textDocument/didSave", {"textDocument": {"uri": each.uri}})

    def reopen(self, each: Open) -> None:
        """Closed and opened again."""
        self.wire.notify("textDocument/didClose", {"textDocument": {"uri": each.uri}})
        self._opened(each)

    def switch(self) -> None:
        """All files change on disk; the editor takes them."""
        self.branch = 1 - self.branch
        for path, text in self.branches[self.branch].items():
            path.write_text(text, encoding="utf-8", newline="")
        for each in self.open.values():
            each.take(self.branches[self.branch][each.path])
            each.version += 1
            self.wire.change(each.uri, each.version, {"text": each.text})
        started = time.perf_counter()
        self._changed(list(self.branches[self.branch]))
        self.wire.settle()
        self.course.taken["switch"].append((time.perf_counter() - started) * 1000)

    def configure(self) -> None:
        """Other settings, and another configuration."""
        self.settings = {"hints": self.chance.choice(["off", "cuts", "all"])}
        self.wire.notify("workspace/didChangeConfiguration", {"settings": {"gradls": self.settings}})
        configuration = self.root / "pyproject.toml"
        configuration.write_text(self.chance.choice(CONFIGURATIONS), encoding="utf-8")
        self._changed([configuration])
        self.wire.settle()

    def work_in_a_notebook(self) -> None:
        """Opened, edited and closed."""
        self.notebook += 1
        uri = f"{self.root.as_uri()}/notebook{self.notebook}.ipynb"
        cells = [f"vscode-notebook-cell:{uri[5:]}#{number}" for number in range(len(CELLS))]
        items = [
            {"uri": cell, "languageId": "python", "version": 1, "text": text}
            for cell, text in zip(cells, CELLS, strict=True)
        ]
        kinds = [{"kind": 2, "document": cell} for cell in cells]
        notebook = {"uri": uri, "notebookType": "jupyter-notebook", "version": 1, "cells": kinds}
        self.wire.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": items})
        for version in range(2, 12):
            changes = [{"text": f"# {version}\n{CELLS[1]}"}]
            content = [{"document": {"uri": cells[1], "version": version}, "changes": changes}]
            params = {
                "notebookDocument": {"uri": uri, "version": version},
                "change": {"cells": {"textContent": content}},
            }
            self.wire.notify("notebookDocument/didChange", params)
        self._ask("textDocument/hover", {"textDocument": {"uri": cells[1]}, "position": {"line": 1, "character": 1}})
        closing = {"notebookDocument": {"uri": uri}, "cellTextDocuments": [{"uri": cell} for cell in cells]}
        self.wire.notify("notebookDocument/didClose", closing)

    def sample(self, edits: int) -> None:
        """Measure, when there is nothing to do."""
        self.wire.settle()
        self.course.samples.append(sample(self.process, edits))

    def compare(self) -> None:
        """Is what this server says of the open files what another one says that has just begun?"""
        self.wire.settle()
        own = {each.uri: self._said(self.wire, each) for each in self.open.values()}
        with served(env=self.environment) as (wire, process):
            begin(wire, self.root, self.pulls)
            wire.notify("workspace/didChangeConfiguration", {"settings": {"gradls": self.settings}})
            for each in self.open.values():
                wire.open(each.uri, each.text, each.version)
            wire.settle()
            for each in self.open.values():
                assert self.wire.text(each.uri)["analysed"] == each.text
                if not parses(each.text):
                    # What stood there before stands in for what does not parse: one who has seen it knows more.
                    continue
                fresh = self._said(wire, each)
                self.course.compared += 1
                if fresh != own[each.uri]:
                    self.course.drifts.append(f"{each.path}: {own[each.uri]} instead of {fresh}")
            end(wire, process)

    def _said(self, wire: Wire, each: Open) -> Any:
        if self.pulls:
            answer = wire.ask(f"said {time.monotonic_ns()}", *asked(each.uri))
            return sorted(map(json.dumps, answer["result"]["items"]))
        return sorted(map(json.dumps, wire.published.get(each.uri, (0, []))[1]))

    def _opened(self, each: Open) -> None:
        each.version += 1
        self.wire.open(each.uri, each.text, each.version)
        self._known(each)

    def _known(self, each: Open) -> None:
        if self.pulls:
            self._ask(*asked(each.uri))
        else:
            self.wire.known(each.uri, each.version)

    def _ask(self, method: str, params: Any) -> None:
        self._count += 1
        started = time.perf_counter()
        self.wire.ask(self._count, method, params)
        self.course.taken[method].append((time.perf_counter() - started) * 1000)
        del self.wire.answered[self._count]

    def _changed(self, paths: Sequence[Path]) -> None:
        self.wire.notify(
            "workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 2} for path in paths]}
        )

    def _otherwise(self, text: str) -> str:
        """A text as it is on another branch."""
        lines = text.split("\n")
        at = self.chance.randrange(len(lines))
        return "\n".join(["# another branch", *lines[:at], *lines[at + self.chance.randrange(2) :]])


def asked(uri: str) -> tuple[str, Any]:
    """The request for the diagnostics of a file."""
    return "textDocument/diagnostic", {"textDocument": {"uri": uri}}


def begin(wire: Wire, root: Path, pulls: bool) -> None:
    """Start an editor that asks for diagnostics, or has them sent."""
    text = {**ABILITIES["textDocument"], **({"diagnostic": {}} if pulls else {})}
    wire.begin(rootUri=root.as_uri(), capabilities={**ABILITIES, "textDocument": text})


def parses(text: str) -> bool:
    """Whether a text is a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def said(change: Change) -> dict[str, Any]:
    """A change as the protocol has it. It stands in ASCII, or takes whole lines."""
    ends = [{"line": line, "character": character} for line, character in (change.start, change.end)]
    return {"range": {"start": ends[0], "end": ends[1]}, "text": change.text}


def copied(folder: Path, root: Path, most: int, seed: int) -> dict[Path, str]:
    """So many of the Python files in `folder`, copied to `root`, with their texts."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        if path.is_file() and 100 < path.stat().st_size < 200_000:
            found.append(path)
    files = {}
    for path in random.Random(seed).sample(found, len(found)):
        text = path.read_bytes().decode("utf-8", "replace")
        if len(files) == most:
            break
        if text.count("\n") > MOST_LINES or "\r" in text or "\f" in text or not text.isascii():
            continue
        target = root / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
        files[target] = text
    (root / "pyproject.toml").write_text(CONFIGURATIONS[0], encoding="utf-8")
    return files


def cpu_of(process: int) -> float:
    """Seconds that a process has had; 0 where nobody says."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def sample(process: int, edits: int) -> Sample:
    """What a process takes; nothing where nobody says."""
    from benchmarks.processes import _tree

    if not Path("/proc/self/statm").exists():
        return Sample(edits, 0, 0, 0, 0, 0)
    tree = _tree(process)
    memory = [memory_of(each) for each in tree]
    counts = [len(os.listdir(f"/proc/{process}/{what}")) for what in ("task", "fd")]
    return Sample(edits, memory[0], sum(memory[1:]), len(tree), *counts)


def memory_of(process: int) -> float:
    """Megabytes that are resident; 0 of one that has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def soak(folder: Path, edits: int, opened: int, others: int, seed: int, pulls: bool, say: bool = False) -> Course:
    """A day with so many edits. AssertionError if something goes wrong but drifts, which are told."""
    with tempfile.TemporaryDirectory() as place:
        root, environment = Path(place, "project"), {**os.environ, "XDG_CACHE_HOME": str(Path(place, "cache"))}
        with served(env=environment) as (wire, process):
            day = Day(wire, process.pid, root, copied(folder, root, opened + others, seed), opened, seed, environment)
            day.begin(pulls)
            parts = max(4, min(edits // 100, 20))
            for number in range(edits):
                if number % max(edits // 100, 1) == 0:
                    day.sample(number)
                    if say:
                        print(day.course.samples[-1], len(day.course.drifts), flush=True)
                if number and number % max(edits // parts, 1) == 0:
                    _between(day, number // max(edits // parts, 1), 4.0 if say else 0.0)
                day.edit()
            day.compare()
            day.sample(edits)
            assert not wire.mistakes, wire.mistakes[0]
            end(wire, process)
    return day.course


def _between(day: Day, number: int, pause: float) -> None:
    """What happens less often, and a pause of so many seconds."""
    day.work_in_a_notebook()
    day.switch()
    if number % 4 == 1:
        day.configure()
    time.sleep(pause)
    if number % 2:
        day.compare()


def figures(course: Course, part: int = 1000) -> dict[str, Any]:
    """What a course comes to: of the first and the last `part` edits, and of the third and the last quarter."""
    taken, samples = course.taken["edit"], course.samples
    quarters = [samples[len(samples) * n // 4 : len(samples) * (n + 1) // 4] for n in (2, 3)]

    def both(values: Sequence[float]) -> Iterator[list[float]]:
        for half in (values[:part], values[-part:]):
            cuts = statistics.quantiles(half, n=20)
            yield [round(cuts[9], 1), round(cuts[18], 1)]

    def least_and_most(name: str) -> list[list[float]]:
        return [[round(f([getattr(s, name) for s in q]), 1) for f in (min, statistics.median, max)] for q in quarters]

    return {
        "edits": len(taken),
        "edit ms, p50 and p95, first and last": list(both(taken)),
        "CPU ms an edit, first and last": [
            round((course.cpu[min(part, len(taken)) - 1] - course.cpu[0]) / part * 1000, 1),
            round((course.cpu[-1] - course.cpu[-min(part, len(taken))]) / part * 1000, 1),
        ],
        "other ms, p50 and p95, first and last": {
            name: list(both(values)) for name, values in course.taken.items() if name != "edit" and len(values) > 20
        },
        "third and last quarter, least, median and most": {
            name: least_and_most(name) for name in ("memory", "children", "processes", "threads", "files")
        },
        "compared": course.compared,
        "drifts": len(course.drifts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=50, help="those that are open")
    parser.add_argument("--others", type=int, default=300, help="those that are not")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pulls", action="store_true", help="the editor asks for diagnostics")
    given = parser.parse_args()
    course = soak(given.folder, given.edits, given.files, given.others, given.seed, given.pulls, say=True)
    print(json.dumps(figures(course, min(1000, given.edits // 3)), indent=1))
    for drift in course.drifts[:10]:
        print(drift[:2000])


if __name__ == "__main__":
    main()
