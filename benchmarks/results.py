"""Figures as tables: on the terminal, and in the page that keeps them."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

WHAT_PEERS_CHECK = (
    "The others do not look for lost gradients: ruff finds undefined names and matters of style in one file, TorchFix "
    "old PyTorch API, ty, pyrefly and basedpyright check types across files. Read a ratio as what a user waits for."
)


@dataclass
class Table:
    """Rows of figures. The first column names what each is about; `notes` are sentences below it."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Add a row; numbers are written as short as their size allows, None as a dash. Missing cells are empty."""
        written = [_written(cell) for cell in cells]
        self.rows.append([*written, *[""] * (len(self.columns) - len(written))])

    @property
    def markdown(self) -> str:
        lines = ["| " + " | ".join(row) + " |" for row in [self.columns, ["---"] * len(self.columns), *self.rows]]
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"**{self.title}**\n\n" + "\n".join(lines) + f"\n{notes}"

    def show(self) -> None:
        table = RichTable(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console = Console(width=None if sys.stdout.isatty() else 160)
        console.print(table)
        for note in self.notes:
            console.print(note, highlight=False)


def _written(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 99.5 else f"{cell:.1f}" if abs(cell) >= 9.95 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of `values` lie, between two of them if need be."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * part
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratio(value: float | None, of: float | None) -> str:
    """How many times `of` a value is."""
    if value is None or not of:
        return "-"
    times = value / of
    return f"{times:,.0f}×" if times >= 9.95 else f"{times:.2g}×"


def progress(text: str) -> None:
    """Say what is being measured."""
    print(f"  {text}", file=sys.stderr, flush=True)


def machine() -> str:
    """When and where, in a line."""
    model = re.search(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", _read("/proc/meminfo"))
    return ", ".join(
        [
            f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
            f"{os.cpu_count()} cores ({model[1] if model else platform.machine()})",
            f"{int(memory[1]) / 1e6:.0f} GB of memory" if memory else "memory unknown",
            f"Python {platform.python_version()}",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def write(page: Path, part: str, command: str, tables: Sequence[Table]) -> None:
    """Put `tables` into `page` between the comments `<!-- part -->` and `<!-- /part -->`, in the place of what is
    there; at the end of the page where these are missing."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    body = "\n".join(table.markdown for table in tables)
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n\n`{command}`: {machine()}\n\n{body}\n{end}{tail}", encoding="utf-8")


def command(
    name: str,
    description: str | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    measure: Callable[[argparse.Namespace], list[Table]],
) -> None:
    """Run the benchmark `name`: read its arguments, measure, print, and write where `--write` says."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    own = parser.add_argument_group("the page")
    own.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page as well")
    own.add_argument("--part", default=name, help=f"into this part of it (default: {name})")
    options = parser.parse_args()
    tables = measure(options)
    for table in tables:
        table.show()
    if any(note.startswith("Beside") for table in tables for note in table.notes):
        print(WHAT_PEERS_CHECK)
    if options.write:
        about_page = ("--write", str(options.write), "--part", options.part)
        shown = [argument for argument in sys.argv[1:] if argument not in about_page]
        write(options.write, options.part, shlex.join(["python", "-m", f"benchmarks.{name}", *shown]), tables)
