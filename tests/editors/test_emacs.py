"""gradls in the real Emacs, with eglot, with Flymake beside eglot's server, and with lsp-mode beside another server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.editors import programs
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import LITTLE_PATIENCE, MENDED, PATIENCE, SHIPPED, written

PACKAGE = SHIPPED / "emacs"
SCRIPT = Path(__file__).with_name("emacs.el")
OTHER = Path(__file__).with_name("other_server.py")
VERSIONS = ("emacs-28", "emacs-30")
CLIENTS = [
    ("emacs-28", "eglot"),
    ("emacs-30", "eglot"),
    ("emacs-28", "flymake"),
    ("emacs-30", "flymake"),
    ("emacs-28", "lsp"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return programs.project(tmp_path / "a b+ü")


def emacs(name: str, *arguments: str, folder: Path, **variables: str) -> str:
    """What a batch Emacs writes."""
    found = editor(name)
    ended = subprocess.run(
        [*found.command, "-Q", "--batch", *arguments],
        env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(folder), **found.environment, **variables},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    return ended.stdout


def drive(name: str, client: str, project: Path, *, works: bool = True) -> dict[str, Any]:
    """What the script reports of a client."""
    home = project.parent
    other = home / "other-server"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{OTHER}"\n')
    other.chmod(0o755)
    report = home / "report.json"
    said = emacs(
        name,
        "-l",
        str(SCRIPT),
        folder=home,
        PATH=server_on_path(home / "bin", works=works),
        FILE=str(project / "train.py"),
        CLIENT=client,
        PACKAGE=str(PACKAGE),
        OTHER=str(other),
        WORD=programs.FIX,
        REPORT=str(report),
        PATIENCE=str(PATIENCE if works else LITTLE_PATIENCE),
    )
    assert report.exists(), said
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if works:
        assert seen["error"] is None, f"{seen['error']}\n{said}"
    return seen


@pytest.mark.parametrize(("name", "client"), CLIENTS)
def test_a_finding_is_shown_and_fixed(name: str, client: str, project: Path):
    seen = drive(name, client, project)
    ours = [found for found in seen["diagnostics"] if "another server" not in found[2]]
    (found,) = ours
    assert found[:2] == [programs.LINE, programs.CULPRIT]
    assert "no gradient can reach" in found[2]
    if client == "lsp":
        assert "said by another server" in seen["said"]
    elif client == "flymake":
        assert any("said by another server" in shown[2] for shown in seen["diagnostics"])
    if client != "flymake":
        assert "no gradient can reach" in seen["hover"]
    if client != "lsp":
        assert seen["picture"] is True
        assert "tensor-of-tensors" in seen["page"]
        assert "GRD102 tensor-of-tensors" in seen["why"]
        assert seen["rules"] > 100
    assert written(project) == MENDED


@pytest.mark.parametrize(("name", "client"), [("emacs-30", "eglot"), ("emacs-28", "lsp")])
def test_nothing_else_of_a_file_changes(name: str, client: str, project: Path):
    programs.write_oddly(project)
    drive(name, client, project)
    assert programs.written_exactly(project) == programs.MENDED_ODD


@pytest.mark.parametrize(("name", "client"), [each for each in CLIENTS if each[1] != "flymake"])
def test_nothing_is_seen_of_a_server_that_does_nothing(name: str, client: str, project: Path):
    assert drive(name, client, project, works=False)["error"]


@pytest.mark.parametrize("name", VERSIONS)
def test_the_package_compiles_without_a_warning(name: str, tmp_path: Path):
    shutil.copy(PACKAGE / "gradls.el", tmp_path)
    strict = "(setq byte-compile-error-on-warn t)"
    assert emacs(name, "--eval", strict, "-f", "batch-byte-compile", "gradls.el", folder=tmp_path) == ""
    assert (tmp_path / "gradls.elc").exists()
    style = '(progn (require \'checkdoc) (checkdoc-file "gradls.el"))'
    assert emacs(name, "--eval", style, folder=tmp_path) == ""
