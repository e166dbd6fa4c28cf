"""Each benchmark runs, on a small input and without peers. What it measures is not looked at, but that it does."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.rules import WITHIN, copies_of
from gradls.workspace.session import Session

ROOT = Path(__file__).parents[2]
PROGRAM = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x):
        y = self.first(x)
        z = y * 2
        return z


def train(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        net(batch).sum().backward()
        optimizer.step()
"""


def run(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(output: str, row: str) -> list[str]:
    """The cells of a row, without its name."""
    line = next(line for line in output.splitlines() if re.match(rf"│ {re.escape(row)} +│", line))
    return [cell.strip() for cell in line.strip("│").split("│")[1:]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_edits(file: Path):
    output = run("edits", file, "--kind", "function,method,line,top", "--edits", 2, "--spacing", 1, "--beside", "")
    assert len(re.findall(r"^│ gradls +│ +2 │ +\d", output, re.MULTILINE)) == 4


def test_startup(file: Path):
    output = run("startup", file, "--runs", 1, "--beside", "")
    for row in ("gradls", "gradls, started again"):
        assert all(re.match(r"[\d.,]+", cell) for cell in figures(output, row))


def test_memory(file: Path):
    output = run("memory", file, "--edits", 1000, "--beside", "")
    cells = figures(output, "gradls")
    assert cells[0] == "1,000"
    assert all(re.match(r"-?[\d.,]+", cell) for cell in cells)


def test_open(file: Path):
    output = run("open", file, "--small", 1, "--runs", 1, "--beside", "")
    assert all(re.match(r"[\d.,]+", cell) for cell in figures(output, "gradls"))


def test_batch(file: Path):
    output = run("batch", file.parent, "--beside", "")
    for row in ("gradls, 1 core", "gradls, 1 core, again"):
        cells = figures(output, row)
        assert cells[0] == str(PROGRAM.count("\n"))
        assert all(re.match(r"[\d.,]+", cell) for cell in cells)


def test_growth():
    output = run("growth", "--lines", 100, "--classes", 2, "--files", 2, "--beside", "")
    rows = re.findall(r"^│ [\d,]+ +│.*", output, re.MULTILINE)
    assert len(rows) == 3
    assert all(re.match(r"[\d.,]+", cell.strip()) for row in rows for cell in row.strip("│").split("│"))


def test_rules():
    output = run("rules", "GRD501", "--copies", "1,2", "--worst", 3)
    rows = re.findall(r"^│ GRD501 \d +│ +(\w+) ", output, re.MULTILINE)
    assert len(rows) == 3
    assert set(rows) <= set(WITHIN)


@pytest.mark.parametrize("within", WITHIN)
def test_what_is_repeated_is_found_as_often(within: str):
    program = "import torch\n\nw = torch.ones(3, requires_grad=True)\nw += 1\n"
    session = Session()
    session.open("x.py", WITHIN[within](copies_of(program, 5)))
    assert len(session.findings("x.py")) == 5


def test_profile(file: Path):
    output = run("profile", file, "--edits", 20)
    # Nobody calls the functions of the program.
    for row in ("flow: functions that nobody calls", "importing Python modules", "all"):
        assert any(re.match(r"0*[1-9]|0\.\d*[1-9]", cell) for cell in figures(output, row))


def test_a_page_gets_what_was_measured(file: Path, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- kinds -->\n<!-- /kinds -->\n")
    run("edits", file, "--edits", 1, "--kind", "method", "--beside", "", "--write", page, "--part", "kinds")
    text = page.read_text()
    assert re.search(r"^\| gradls \| 1 \| [\d.]+ \|", text, re.MULTILINE)
    assert f"`python -m benchmarks.edits {file} --edits 1 --kind method --beside ''`: " in text


@pytest.mark.parametrize("parts", [report.FULL, report.QUICK])
def test_the_report_asks_for_what_there_is(parts: dict[str, list[str]]):
    page = report.PAGE.read_text(encoding="utf-8")
    for part, arguments in parts.items():
        assert f"<!-- {part} -->" in page
        parser = argparse.ArgumentParser()
        importlib.import_module(f"benchmarks.{report.COMMANDS.get(part, part)}").add_options(parser)
        parser.parse_args(arguments)


def test_a_peer_that_is_missing_or_ends_costs_its_row_only(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, does in {"ty": "exit 3", "pyrefly": "echo broken >&2; exit 1"}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {name} 1.2 && exit\n{does}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    output = run("edits", file, "--edits", 1, "--spacing", 1, "--beside", "ty,pyrefly,basedpyright")
    assert figures(output, "gradls")[0] == "1"
    assert figures(output, "ty")[0] == "the server ended"
    assert figures(output, "pyrefly")[0] == "the server ended: broken"
    assert "basedpyright is not installed" in output
