"""Completion in real shells: somebody types, and presses the tabulator."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import gradls

if sys.platform == "win32":
    pytest.skip("there are no such shells", allow_module_level=True)

import pty

PATIENCE = 60


def script(shell: str, folder: Path) -> Path:
    run = gradls("completion", shell, cwd=folder)
    assert run.returncode == 0, run.stderr
    path = folder / f"completion.{shell}"
    path.write_text(run.stdout, encoding="utf-8")
    return path


def found(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


class Terminal:
    """An interactive program on a terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, words: str) -> None:
        """Wait until the terminal has shown `words` since the last time."""
        end = time.monotonic() + PATIENCE
        while words not in self._seen:
            ready, _, _ = select.select([self._master], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{words!r} does not come: {self._seen!r}"
            self._seen += os.read(self._master, 4096).decode(errors="replace")
        self._seen = self._seen.partition(words)[2]


@contextmanager
def terminal(*command: str, folder: Path) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    clean = {**os.environ, "TERM": "dumb", "HOME": str(folder), "COLUMNS": "500", "INPUTRC": os.devnull}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=clean, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def complete_all(shell: Terminal) -> None:
    """What every shell must do: commands, options, rules, files."""
    for typed, completed in [
        ("gradls expl", "explain "),
        ("gradls check --statis", "--statistics "),
        ("gradls explain detached-l", "detached-loss "),
        ("gradls check --select GRD10", "GRD101"),
        ("gradls check --format con", "concise "),
        ("gradls check some-pro", "some-program.py"),
    ]:
        shell.type(f"{typed}\t\t")
        shell.wait_for(completed)
        shell.type("\x15")  # Ctrl-U, an empty line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some-program.py").write_text("import torch\n", encoding="utf-8")
    return tmp_path


def test_bash(folder: Path):
    path = script("bash", folder)
    with terminal(found("bash"), "--norc", "-i", folder=folder) as shell:
        shell.type(f"eval \"$(cat {path})\"; echo REA''DY\n")
        shell.wait_for("READY")
        complete_all(shell)


def test_zsh(folder: Path):
    path = script("zsh", folder)
    with terminal(found("zsh"), "-f", "-i", folder=folder) as shell:
        shell.type(f"autoload -U compinit; compinit -u -D; eval \"$(cat {path})\"; LISTMAX=10000; echo REA''DY\n")
        shell.wait_for("READY")
        complete_all(shell)


def test_fish(folder: Path):
    path = script("fish", folder)

    def completed(typed: str) -> list[str]:
        command = [found("fish"), "--no-config", "-c", f"source {path}; complete -C '{typed}'"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
        return [line.partition("\t")[0] for line in run.stdout.splitlines()]

    assert "explain" in completed("gradls expl")
    assert "--statistics" in completed("gradls check --statis")
    assert "detached-loss" in completed("gradls explain detached-l")
    assert "GRD101" in completed("gradls check --select GRD10")
    assert "concise" in completed("gradls check --format con")
    assert "some-program.py" in completed("gradls check some-pro")


def test_a_shell_that_is_not_known(tmp_path: Path):
    run = gradls("completion", "tcl", cwd=tmp_path)
    assert run.returncode == 2
    assert "invalid choice: 'tcl'" in run.stderr
