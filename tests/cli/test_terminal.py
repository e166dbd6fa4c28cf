"""What is different on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import KEPT, LOST, gradls

pty = pytest.importorskip("pty")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b\\")


def on_terminal(*arguments: str, cwd: Path, **environment: str) -> str:
    """What `gradls` prints on a terminal of 80 columns."""
    clean = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    clean |= {"GRADLS_CACHE_DIR": KEPT.name, "TERM": "xterm-256color", **environment}
    own, its = pty.openpty()
    command = [sys.executable, "-m", "gradls", *arguments]
    with subprocess.Popen(command, cwd=cwd, stdin=its, stdout=its, stderr=its, env=clean) as process:
        os.close(its)
        parts: list[bytes] = []
        while part := _read(own):
            parts.append(part)
        process.wait()
    os.close(own)
    return b"".join(parts).decode("utf-8").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody writes any more
        return b""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a b.py").write_text(LOST, encoding="utf-8")
    return tmp_path


def test_colours_and_links(folder: Path):
    shown = on_terminal("check", "--no-resolve", "a b.py", cwd=folder)
    assert COLOUR.search(shown)
    places, pages = LINK.findall(shown)[:2]
    assert places == f"{(folder / 'a b.py').as_uri()}#5"
    assert "grd101" in pages.lower()


def test_no_colours_if_they_are_not_wanted(folder: Path):
    assert not COLOUR.search(on_terminal("check", "--no-resolve", "a b.py", cwd=folder, NO_COLOR="1"))


def test_nothing_of_it_on_a_terminal_that_can_do_nothing(folder: Path):
    assert "\x1b" not in on_terminal("check", "--no-resolve", "a b.py", cwd=folder, TERM="dumb")


def test_colours_on_request_where_there_is_no_terminal(folder: Path):
    run = gradls("check", "--no-resolve", "a b.py", cwd=folder, FORCE_COLOR="1", TERM="xterm-256color")
    assert COLOUR.search(run.stdout)
    assert "\x1b]8;" not in run.stdout, "links, in what may be the log of a CI system"


def test_a_report_in_a_file_is_plain(folder: Path):
    on_terminal("check", "--no-resolve", "a b.py", "--output", "report.txt", cwd=folder)
    assert "\x1b" not in (folder / "report.txt").read_text(encoding="utf-8")


def test_a_long_run_shows_how_far_it_is(tmp_path: Path):
    for number in range(40):
        (tmp_path / f"a{number}.py").write_text(f"{LOST}print({number})\n", encoding="utf-8")
    shown = on_terminal("check", "--no-resolve", ".", "--statistics", "--jobs", "1", cwd=tmp_path)
    assert "Reading" in shown
    assert "100%" in shown
    run = gradls("check", "--no-resolve", ".", "--statistics", "--no-cache", cwd=tmp_path)
    assert "Reading" not in run.stdout + run.stderr
