"""Memory over thousands of edits: gradls beside other servers.

    python -m benchmarks.memory [FILE] [--lines 4500] [--edits 5000] [--seed 0]

The edits are those of somebody at work, chosen by chance but the same ones for the same seed: lines typed character by
character, characters taken back, lines deleted, blocks pasted, and most of it undone later, so that the file keeps its
size. The next edit comes when the diagnostics of the last one are there; now and then there is a pause.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import inputs, peers
from benchmarks.inputs import Input
from benchmarks.lsp import Change, Client
from benchmarks.peers import Server
from benchmarks.processes import Failed, usage
from benchmarks.results import Table, command, percentile, progress, ratio

BETWEEN_SAMPLES = 100
PAUSE = 0.3
"""Seconds without an edit before each sample."""
FEWEST_SAMPLES = 8
"""With fewer, nothing is said about whether memory grows."""
MOST_UNDONE_LATER = 30


class Typing:
    """Somebody who edits a text. `edits` gives one change after the other, without end."""

    def __init__(self, text: str, seed: int) -> None:
        self.lines = text.split("\n")
        self._random = random.Random(seed)
        self._undo: list[list[Change]] = []

    def edits(self) -> Iterator[Change]:
        while True:
            full = len(self._undo) >= MOST_UNDONE_LATER
            if self._undo and (full or self._random.random() < 0.5):
                steps = self._undo[-1]
                while steps:
                    step = steps.pop(0)
                    self._apply(step)
                    yield step
                self._undo.pop()
                continue
            undo: list[Change] = []
            self._undo.append(undo)
            for step in self._random.choice([self._type, self._take_back, self._delete, self._paste])():
                undo.insert(0, self._apply(step))
                yield step

    def _apply(self, change: Change) -> Change:
        """Make a change; return the one that undoes it."""
        (line, column), (end_line, end_column) = change.start, change.end
        before = self.lines[line : end_line + 1]
        removed = "\n".join([*before[:-1], before[-1][:end_column]])[column:]
        new = (before[0][:column] + change.text + before[-1][end_column:]).split("\n")
        self.lines[line : end_line + 1] = new
        added = change.text.split("\n")
        end = (line, column + len(added[0])) if len(added) == 1 else (line + len(added) - 1, len(added[-1]))
        return Change(change.start, end, removed)

    def _place(self) -> int:
        """A line with code and nothing but ASCII: columns are those of the protocol then."""
        while True:
            at = self._random.randrange(len(self.lines) - 1)
            if self.lines[at].strip() and self.lines[at].isascii():
                return at

    def _type(self) -> Iterator[Change]:
        """A line that stands elsewhere, typed below another one with its indentation."""
        at, text = self._place(), self.lines[self._place()].strip()[:40]
        indent = self.lines[at][: len(self.lines[at]) - len(self.lines[at].lstrip())]
        yield Change((at, len(self.lines[at])), (at, len(self.lines[at])), "\n" + indent)
        for number, character in enumerate(text):
            place = (at + 1, len(indent) + number)
            yield Change(place, place, character)

    def _take_back(self) -> Iterator[Change]:
        """The end of a line, character by character."""
        at = self._place()
        length = len(self.lines[at])
        for number in range(min(self._random.randrange(1, 12), length)):
            yield Change((at, length - number - 1), (at, length - number), "")

    def _delete(self) -> Iterator[Change]:
        at = self._place()
        yield Change((at, 0), (at + 1, 0), "")

    def _paste(self) -> Iterator[Change]:
        """A few lines from elsewhere, as they are."""
        at, source = self._place(), self._place()
        yield Change((at, 0), (at, 0), "\n".join([*self.lines[source : source + self._random.randrange(2, 10)], ""]))


@dataclass
class Course:
    """Megabytes after so many edits, megabytes of the process that looks names up, milliseconds of each edit."""

    memory: dict[int, float] = field(default_factory=dict)
    helpers: float = 0.0
    taken: list[float] = field(default_factory=list)
    unanswered: int = 0


def measure(server: Server, file: Input, folder: Path, edits: int, seconds: float, seed: int) -> Course:
    """Edit so often, or for so long. Failed if the server ends or says nothing of the file at the start."""
    path = folder / "edited.py"
    path.write_text(file.text, encoding="utf-8")
    uri, course = path.as_uri(), Course()
    typing = Typing(file.text, seed).edits()
    with Client(server.command, folder, inputs.cache_of(folder)) as client:
        client.initialize()
        client.open(uri, file.text)
        client.published(uri, None)
        time.sleep(1)
        end = time.perf_counter() + seconds
        for number in range(edits + 1):
            over = number == edits or time.perf_counter() > end
            if over or number % BETWEEN_SAMPLES == 0:
                time.sleep(PAUSE)
                now = usage(client.process.pid)
                course.memory[number], course.helpers = now.memory, now.helpers
            if over:
                break
            sent = client.change(uri, next(typing))
            try:
                course.taken.append((client.published(uri, None, 5).at - sent) * 1000)
            except Failed:
                if client.process.poll() is not None:
                    raise
                course.unanswered += 1
                if course.unanswered == 20:
                    raise Failed("does not publish each version") from None
    return course


def slope(samples: dict[int, float]) -> float:
    """Megabytes that come with 1,000 edits, by the line that fits best."""
    return statistics.linear_regression(list(samples), list(samples.values())).slope * 1000


def run(options: argparse.Namespace) -> list[Table]:
    file = inputs.given(options.file) if options.file else inputs.standard([options.lines])[0]
    table = Table(
        f"memory over {options.edits:,} edits, {file.lines:,} lines {file.about}",
        [
            "server",
            "edits",
            "opened MB",
            "highest MB",
            "at the end MB",
            "last 4 in 5 edits: lowest to highest MB",
            "MB per 1,000 edits there",
            "edit p50 ms",
            "p95 ms",
            "end beside gradls",
        ],
    )
    own: float | None = None
    for server in peers.servers(options.beside, table):
        progress(f"{options.edits} edits: {server.name}")
        seconds = options.own_seconds if server.name == "gradls" else options.seconds
        try:
            with inputs.project() as folder:
                course = measure(server, file, folder, options.edits, seconds, options.seed)
        except Failed as failed:
            table.add(server.name, str(failed))
            continue
        last = list(course.memory.values())[-1]
        own = last if server.name == "gradls" else own
        table.add(server.name, *figures(course), ratio(last, own))
        if course.helpers:
            table.notes.append(f"{server.name}: {course.helpers:.0f} MB besides in the process that looks names up.")
        if course.unanswered:
            table.notes.append(f"{server.name}: {course.unanswered} edits without diagnostics within 5 s.")
        if max(course.memory) < options.edits:
            table.notes.append(f"{server.name}: no more edits in {seconds:.0f} s.")
    return [table]


def figures(course: Course) -> list[object]:
    """The cells of a course: edits, megabytes, and milliseconds."""
    done, memory = max(course.memory), list(course.memory.values())
    late = {number: memory for number, memory in course.memory.items() if number >= done / 5}
    enough = len(late) >= FEWEST_SAMPLES
    flat = [f"{min(late.values()):.0f} to {max(late.values()):.0f}", slope(late)] if enough else [None, None]
    taken = [percentile(course.taken, part) for part in (0.5, 0.95)] if course.taken else [None, None]
    return [done, memory[0], max(memory), memory[-1], *flat, *taken]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, help="the file to edit (default: see --lines)")
    parser.add_argument("--lines", type=int, default=4500, help="the size of a file to make of installed code")
    parser.add_argument("--edits", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=40, help="the most for the edits of each peer")
    parser.add_argument("--own-seconds", type=float, default=300, help="the most for those of gradls")
    peers.add_option(parser, peers.SERVERS)


if __name__ == "__main__":
    command("memory", __doc__, add_options, run)
