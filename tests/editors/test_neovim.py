"""gradls in the real Neovim, installed and configured as the README says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.editors import programs
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import LITTLE_PATIENCE, MENDED, PATIENCE, SHIPPED, STACKED, written

PLUGIN = SHIPPED / "neovim"
SCRIPT = Path(__file__).with_name("neovim.lua")
NEWEST = "neovim-0.11"
VERSIONS = ("neovim-0.7", "neovim-0.10", NEWEST)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return programs.project(tmp_path / "a b+ü")


def configuration(name: str) -> str:
    """What the README has users write into their init.lua."""
    newest, older, *_ = programs.blocks(PLUGIN / "README.md", "lua")
    return newest if name == NEWEST else older


def drive(name: str, project: Path, *steps: str, works: bool = True, init: str = "", **settings: str) -> dict[str, Any]:
    """What the script reports of Neovim with the shipped configuration, and `init` after it."""
    found = editor(name)
    home = project.parent
    installed = home / "config" / "nvim" / "pack" / "gradls" / "start"
    installed.mkdir(parents=True)
    (installed / "gradls").symlink_to(PLUGIN)
    (home / "config" / "nvim" / "init.lua").write_text(configuration(name) + init)
    path = server_on_path(home / "bin", works=works)
    browser = home / "bin" / "xdg-open"
    browser.write_text('#!/bin/sh\necho "$1" >"$OPENED"\n')
    browser.chmod(0o755)
    report = home / "report.json"
    environment = {
        **os.environ,
        **found.environment,
        **{f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in ("config", "data", "state", "cache")},
        "PATH": path,
        "FILE": str(project / "train.py"),
        "REPORT": str(report),
        "OPENED": str(home / "opened"),
        "STEPS": ",".join(steps),
        "COUNT": "1",
        "PATIENCE": str(PATIENCE if works else LITTLE_PATIENCE),
        **settings,
    }
    ended = subprocess.run(
        [*found.command, "--headless", "-i", "NONE", "-S", str(SCRIPT)],
        env=environment,
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert report.exists(), ended.stderr
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if works:
        assert not seen["errors"], seen["errors"]
    return seen


@pytest.mark.parametrize("name", VERSIONS)
def test_a_finding_is_shown_explained_drawn_and_fixed(name: str, project: Path):
    steps = ("hover", "explain", "why", "picture", "hints", "health", "action")
    seen = drive(name, project, *steps, KIND="quickfix", WORD=programs.FIX)
    (found,) = seen["diagnostics"]
    assert (found["code"], found["source"], found["error"]) == (programs.CODE, "gradls", True)
    assert found["text"] == programs.CULPRIT
    assert seen["root"] == str(project)
    assert found["message"] in seen["hover"]
    assert seen["page"].startswith("# ")
    assert seen["read_only"]
    assert seen["rules"] == ["tensor-of-tensors"]
    assert f"**Cause**, {project}/train.py:{programs.LINE}" in seen["why"]
    first, *_ = seen["causes"]
    assert (first["line"], first["name"]) == (programs.LINE, "train.py")
    assert seen["same"]
    assert "**What to do.**" in seen["of_words"]
    assert "<svg" in seen["picture"]
    assert [place["line"] for place in seen["places"] if place["is_cut"]] == [programs.LINE]
    assert "attached to 1 buffer" in seen["health"]
    assert "ERROR" not in seen["health"]
    if name == "neovim-0.7":
        assert seen["notices"] == ["gradls: hints need Neovim 0.10 or later"]
    else:
        assert seen["notices"] == []
        assert "no gradient: copied values" in seen["hints"]
    assert written(project) == MENDED


def test_all_safe_fixes_at_once(project: Path):
    drive(NEWEST, project, "action", KIND="source.fixAll.gradls", WORD="safe")
    assert written(project) == MENDED


@pytest.mark.parametrize("name", VERSIONS)
def test_nothing_else_of_a_file_changes(name: str, project: Path):
    programs.write_oddly(project)
    drive(name, project, "action", KIND="quickfix", WORD=programs.FIX)
    assert programs.written_exactly(project) == programs.MENDED_ODD


def test_an_outdated_fix_is_refused(project: Path):
    seen = drive(NEWEST, project, "outdated", WORD=programs.FIX)
    assert seen["offered"] == "stack"
    assert seen["lines"] == ["# a line above", *STACKED.splitlines(), "# edited"]
    assert seen["resolved"] is False


def test_a_finding_is_ignored_by_a_comment(project: Path):
    drive(NEWEST, project, "action", KIND="quickfix", WORD="Ignore")
    assert written(project) == STACKED.replace(".mean()\n", ".mean()  # gradls: ignore[tensor-of-tensors]\n")


@pytest.mark.parametrize("name", VERSIONS)
def test_settings_count(name: str, project: Path):
    call = "vim.lsp.config('gradls', {})" if name == NEWEST else "require('gradls').setup({})"
    init = call.replace("{}", "{ settings = { gradls = { config = { ignore = { 'GRD102' } } } } }")
    assert drive(name, project, init=init, COUNT="0")["diagnostics"] == []


@pytest.mark.parametrize("name", VERSIONS)
def test_health_says_what_to_do_if_there_is_no_server(name: str, project: Path):
    call = "vim.lsp.config('gradls', {})" if name == NEWEST else "require('gradls').setup({})"
    health = drive(name, project, "health", init=call.replace("{}", "{ cmd = { 'no-such', 'server' } }"), COUNT="")[
        "health"
    ]
    assert "`no-such` is not on the PATH of Neovim: there is no server" in health
    assert "pipx install" in health
    assert "The server does not run" in health


@pytest.mark.parametrize("name", VERSIONS)
def test_nothing_is_seen_of_a_server_that_does_nothing(name: str, project: Path):
    seen = drive(name, project, works=False)
    assert seen["errors"] == ["waited in vain for the server"]
