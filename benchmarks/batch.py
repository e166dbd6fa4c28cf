"""Lines per second on the command line, and memory: gradls beside other checkers.

    python -m benchmarks.batch [FOLDER...] [--large]

Each folder is copied as a project of its own: its Python files, and no settings. gradls runs on one core with nothing
kept from an earlier run, on one core again, and on all cores with nothing kept; on the large one only so. Lines are
those of the files, comments and blank ones included.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import inputs, peers
from benchmarks.inputs import cache_of
from benchmarks.processes import Failed
from benchmarks.processes import run as run_command
from benchmarks.results import Table, command, progress, ratio

FOLDERS = ("denoising_diffusion_pytorch", "vit_pytorch", "timm")
LARGE = "torch"
CHECK = ["check", "--exit-zero", "--no-resolve", "--no-cache", "--format", "json"]
ARGUMENTS = {
    "ruff": ["check", "--exit-zero", "--no-cache", "--select", "ALL", "--quiet"],
    "ty": ["check", "--exit-zero", "--quiet"],
    "pyrefly": ["check", "--output-format", "omit-errors"],
    "basedpyright": ["--outputjson"],
    "TorchFix": ["--select", "ALL"],
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A command and what it is given. `cold` begins without what it kept; `lines` are those of its `paths`."""

    name: str
    command: list[str]
    paths: list[str]
    lines: int
    cold: bool = True


def own(names: list[str], lines: int, once: bool) -> Iterator[Tool]:
    """gradls, the ways in which it can be run; or only that on all cores."""
    cores = os.cpu_count() or 1
    one = [*peers.gradls_command(*CHECK), "--jobs", "1"]
    if not once:
        yield Tool("gradls, 1 core", one, names, lines)
        yield Tool("gradls, 1 core, again", one, names, lines, cold=False)
    if cores > 1 or once:
        yield Tool(f"gradls, {cores} cores", [*peers.gradls_command(*CHECK), "--jobs", str(cores)], names, lines)


def others(folder: Path, names: list[str], lines: int, options: argparse.Namespace, table: Table) -> Iterator[Tool]:
    """The peers; `table` gets the notes on which these are."""
    versions = []
    for name in options.beside:
        program = peers.find(peers.PROGRAMS[name])
        if program is None:
            table.notes.append(peers.missing(name))
            continue
        versions.append(peers.version(name))
        paths, counted = names, lines
        if name == "TorchFix" and lines > 1.5 * options.slow_lines:
            paths, counted = some_files(folder, options.slow_lines / lines)
            table.notes.append(f"TorchFix is given {len(paths)} of the files.")
        yield Tool(name, [program, *ARGUMENTS[name]], paths, counted)
    if versions:
        table.notes.append(f"Beside {', '.join(versions)}.")


def some_files(folder: Path, part: float) -> tuple[list[str], int]:
    """Every so many files of a project, for what is too slow for all, and their lines."""
    files = sorted(folder.rglob("*.py"))[:: max(1, round(1 / part))]
    return [str(file.relative_to(folder)) for file in files], sum(file.read_bytes().count(b"\n") for file in files)


def table_of(sources: list[Path], options: argparse.Namespace, once: bool = False) -> Table:
    """All tools on some folders together; gradls in all ways, or `once`."""
    with inputs.project() as folder:
        counted = [inputs.copy_python(source, folder) for source in sources]
        files, lines = (sum(numbers) for numbers in zip(*counted, strict=True))
        names = [source.name for source in sources]
        table = Table(
            f"{', '.join(names)}: {files:,} files, {lines:,} lines",
            ["tool", "lines", "wall s", "CPU s", "lines per CPU second", "peak MB", "lines per CPU s beside gradls"],
        )
        ours: float | None = None
        tools = [*own(names, lines, once), *others(folder, names, lines, options, table)]
        for tool in tools:
            progress(f"{tool.lines} lines: {tool.name}")
            if tool.cold:
                shutil.rmtree(cache_of(folder))
                cache_of(folder).mkdir()
            try:
                done = run_command([*tool.command, *tool.paths], folder, cache_of(folder), options.seconds)
            except Failed as failed:
                table.add(tool.name, tool.lines, str(failed))
                continue
            speed = tool.lines / done.cpu
            ours = ours or speed if tool.name.startswith("gradls") else ours
            table.add(tool.name, tool.lines, done.wall, done.cpu, speed, done.peak, ratio(speed, ours))
    return table


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="folders to check, each on its own")
    parser.add_argument("--large", action="store_true", help="also all of the installed PyTorch, over a million lines")
    parser.add_argument("--seconds", type=float, default=120, help="the most for one run")
    parser.add_argument("--slow-lines", type=int, default=8000, help="about how many lines TorchFix is given")
    peers.add_option(parser, peers.PROGRAMS)


def run(options: argparse.Namespace) -> list[Table]:
    groups = [[folder.resolve()] for folder in options.folders]
    if not groups:
        groups = [[inputs.installed(FOLDERS[0], "torch/optim"), inputs.installed(FOLDERS[1], "torch/nn")]]
        groups += [[inputs.installed(FOLDERS[2], "torch/ao")]]
    tables = [table_of(group, options) for group in groups]
    if options.large:
        fast = [name for name in options.beside if name in ("ruff", "ty")]
        few = argparse.Namespace(**{**vars(options), "beside": fast})
        tables.append(table_of([inputs.installed(LARGE)], few, once=True))
    return tables


if __name__ == "__main__":
    command("batch", __doc__, add_options, run)
