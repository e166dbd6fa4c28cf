"""gradls in the real Vim with ALE, set up by the lines of the README."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.editors import programs
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import LITTLE_PATIENCE, MENDED, PATIENCE, SHIPPED, written

PLUGIN = SHIPPED / "vim"
SCRIPT = Path(__file__).with_name("vim.vim")
ALE = "set runtimepath^=/usr/share/vim-ale\nset nocompatible\nfiletype plugin on\n"
NAME = "vim-9"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return programs.project(tmp_path / "a b+ü")


def drive(project: Path, *, works: bool = True) -> dict[str, Any]:
    """What the script reports."""
    home = project.parent
    path = server_on_path(home / "bin", works=works)
    browser = home / "bin" / "xdg-open"
    browser.write_text('#!/bin/sh\necho "$1" >"$OPENED"\n')
    browser.chmod(0o755)
    (configured,) = programs.blocks(PLUGIN / "README.md", "vim")
    assert "~/gradls/editors/vim" in configured
    vimrc = home / "vimrc"
    vimrc.write_text(ALE + configured.replace("~/gradls/editors/vim", str(PLUGIN)))
    report = home / "report.json"
    environment = {
        **os.environ,
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": path,
        "FILE": str(project / "train.py"),
        "REPORT": str(report),
        "OPENED": str(home / "opened"),
        "WORD": programs.FIX,
        "PATIENCE": str(PATIENCE if works else LITTLE_PATIENCE),
    }
    ended = subprocess.run(
        [*editor(NAME).command, "-N", "-u", str(vimrc), "-i", "NONE", "-n", "-es", "-S", str(SCRIPT)],
        env=environment,
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert report.exists(), ended.stdout + ended.stderr
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if works:
        assert seen["error"] is None, seen
    return seen


def test_a_finding_is_shown_explained_drawn_and_fixed(project: Path):
    seen = drive(project)
    assert (seen["found"]["line"], seen["found"]["code"], seen["found"]["type"]) == (programs.LINE, programs.CODE, "E")
    assert "no gradient can reach" in seen["found"]["text"]
    assert "no gradient can reach" in seen["hover"]
    assert "tensor-of-tensors" in seen["page"]
    assert seen["picture"] == 1
    assert written(project) == MENDED


def test_nothing_is_seen_of_a_server_that_does_nothing(project: Path):
    assert drive(project, works=False)["error"].startswith("waited in vain for the finding")
