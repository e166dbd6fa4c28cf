"""`gradls check --watch`."""

from __future__ import annotations

import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest

from gradls.cli.analysis import check_file
from gradls.cli.changes import Changes
from gradls.cli.inputs import Task
from gradls.cli.live import Live
from gradls.cli.records import Report
from gradls.workspace.config import Config
from tests.cli.command import FINE, LOST, gradls

SECONDS = 120
HELPERS = "import torch\n\n\ndef loss_of(model, x):\n    return model(x).mean(){}\n"
TRAIN = """\
import torch
from helpers import loss_of
model = torch.nn.Linear(3, 1)
loss_of(model, torch.randn(2, 3)).backward()
"""


class Watching:
    """A running `gradls check --watch`, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str | None] = Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def told(self) -> str:
        """What it prints until it waits again."""
        found: list[str] = []
        while not found or not found[-1].startswith("Waiting for changes"):
            line = self._lines.get(timeout=SECONDS)
            assert line is not None, "".join(found)
            found.append(line)
        return "".join(found[:-1])


def _take_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who starts the tests in the background has it ignored


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Watching]:
    command = [sys.executable, "-u", "-m", "gradls", "check", "--watch", "--no-resolve", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=_take_interrupts
    )
    try:
        yield Watching(process)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_each_change_is_told_until_an_interrupt(tmp_path: Path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "helpers.py").write_text(HELPERS.format(""), encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    with watching(tmp_path, "train.py", "--no-cache") as run:
        assert run.told() == "Nothing found in 1 file.\n"
        (tmp_path / "helpers.py").write_text(HELPERS.format(".detach()"), encoding="utf-8")
        assert "Changed: helpers.py:" in (told := run.told())
        assert "Found 1 information in 1 file." in told or "Found 1 error in 1 file." in told
        (tmp_path / "train.py").write_text(LOST, encoding="utf-8")
        assert "train.py:5:8: error GRD101" in run.told()
        (tmp_path / "train.py").write_text(f"\n{LOST}", encoding="utf-8")
        assert "train.py:6:8: error GRD101" in run.told()
        (tmp_path / "train.py").write_text(f"{LOST}x = (\n", encoding="utf-8")
        assert "could not be parsed" in run.told()
        (tmp_path / "gradls.toml").write_text('ignore = ["GRD1"]\n', encoding="utf-8")
        assert "Nothing found in 1 file." in run.told()
        (tmp_path / "train.py").unlink()
        assert "No such file" in run.told()
        run.process.send_signal(signal.SIGINT)
        rest, _ = run.process.communicate(timeout=SECONDS)
        assert (run.process.returncode, rest) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_of_a_check_is_status_130(tmp_path: Path):
    """It waits for its stdin, and is interrupted there."""
    command = [sys.executable, "-m", "gradls", "check", "-"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_take_interrupts
    )
    assert process.stdin is not None
    while not _reads_stdin(process.pid):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (130, "")


def _reads_stdin(pid: int) -> bool:
    """Whether a process waits in a read of its stdin."""
    number = {"x86_64": "0", "aarch64": "63"}.get(platform.machine())
    try:
        call = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
    except OSError:
        number = None
    if number is None:
        pytest.skip("what a process waits for cannot be seen here")
    return call[:2] == [number, "0x0"]


@pytest.mark.parametrize(
    "arguments", [["-"], ["--fix"], ["--diff"], ["--format", "json"], ["--write-baseline"], ["--output", "a.txt"]]
)
def test_what_does_not_go_with_it(tmp_path: Path, arguments: list[str]):
    run = gradls("check", "--watch", *arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "--watch" in run.stderr


def test_what_changes(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".venv").mkdir()
    for name in ("same.py", "edited.py", "gone.py", "sub/edited.ipynb", "notes.txt", ".venv/a.py"):
        (tmp_path / name).write_text("1", encoding="utf-8")
    (tmp_path / "broken.py").symlink_to(tmp_path / "nowhere.py")
    changes = Changes([str(tmp_path)], [str(tmp_path / "known.json")])
    (tmp_path / "edited.py").write_text("12", encoding="utf-8")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "sub" / "edited.ipynb").write_text("12", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("12", encoding="utf-8")
    (tmp_path / ".venv" / "a.py").write_text("12", encoding="utf-8")
    (tmp_path / "known.json").write_text("12", encoding="utf-8")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.py").write_text("1", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("1", encoding="utf-8")
    found = {Path(path).relative_to(tmp_path).as_posix() for path in changes.wait()}
    expected = {"edited.py", "gone.py", "sub/edited.ipynb", "known.json", "new", "new/a.py", ".gitignore"}
    assert found == expected


TEXTS = [
    LOST,
    FINE,
    *[TRAIN] * 5,
    f"{LOST}x = (\n",
    "# gradls: ignore-file\n" + LOST,
    "",
    None,
]
OF_HELPERS = [HELPERS.format(""), HELPERS.format(".detach()"), HELPERS.format("."), None]


@pytest.mark.parametrize("seed", range(4))
def test_what_stays_open_is_told_as_if_it_were_new(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch):
    chance = random.Random(seed)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    live, names = Live(), ["helpers.py", "train.py", "other.py", "more.py"]
    checked = names[chance.randint(0, 1) :]
    for _ in range(12):
        changed = chance.sample(names, chance.randint(1, 2))
        for name in changed:
            text = chance.choice(OF_HELPERS if name == "helpers.py" else TEXTS)
            if text is None:
                (tmp_path / name).unlink(missing_ok=True)
            else:
                (tmp_path / name).write_text(text, encoding="utf-8")
        config = Config(ignore=("GRD1",)) if chance.random() < 0.1 else Config()
        tasks = [Task(name, config, among=str(tmp_path)) for name in checked if (tmp_path / name).exists()]
        live.edited(os.path.abspath(name) for name in changed)
        mine = [task for task in tasks if live.has(task)]
        assert {task.path for task in mine} >= {task.path for task in tasks if task.path in changed}
        for report, task in zip(live.reports(mine), mine, strict=True):
            assert _content(report) == _content(check_file(False, task))


def _content(report: Report) -> object:
    return report.findings, report.errors, report.excerpts
