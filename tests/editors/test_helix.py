"""gradls in the real Helix, with the languages.toml that it is shipped with, beside another Python server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.editors import programs
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import LITTLE_PATIENCE, MENDED, MENDED_ODD, PATIENCE, SHIPPED, written_exactly
from tests.editors.terminal import NotSeen, Terminal, terminal

LANGUAGES = SHIPPED / "helix" / "languages.toml"
OTHER = Path(__file__).with_name("other_server.py")
NAME = "helix-25"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return programs.project(tmp_path / "a b+ü")


def environment(home: Path, *, works: bool = True) -> dict[str, str]:
    """Variables with which Helix has the shipped configuration; `pylsp` is another server."""
    configured = home / "config" / "helix"
    configured.mkdir(parents=True)
    shutil.copy(LANGUAGES, configured)
    (shown,) = programs.blocks(LANGUAGES.with_name("README.md"), "toml")
    (configured / "config.toml").write_text(shown)
    path = server_on_path(home / "bin", works=works)
    other = home / "bin" / "pylsp"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{OTHER}"\n')
    other.chmod(0o755)
    folders = {f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in ("config", "cache", "data")}
    return {**os.environ, **editor(NAME).environment, **folders, "PATH": path}


def drive(project: Path, *, works: bool = True) -> None:
    """Do what a user does. NotSeen if something does not show."""
    home = project.parent
    variables = environment(home, works=works)
    patience = (PATIENCE if works else LITTLE_PATIENCE) / 1000
    with terminal([*editor(NAME).command, "train.py"], variables, project, patience) as helix:
        helix.wait("NOR")
        find(helix)
        hover(helix)
        fix(helix)
        save(helix, project)


def find(helix: Terminal) -> None:
    helix.wait("said by another server")
    helix.wait("`torch.tensor(losses)` copies")  # at the end of the line
    helix.type("Escape")  # it asks for hints when it is idle after a key, which a busy server has missed
    helix.wait("no gradient: copied values")  # a hint
    helix.write("]D")
    helix.wait("no gradient can reach")


def hover(helix: Terminal) -> None:
    helix.write(" k")
    helix.wait("GRD102")
    helix.type("Escape")
    helix.wait_until(lambda screen: "GRD102" not in screen, "the hover to go")


def fix(helix: Terminal) -> None:
    helix.write(" a")
    helix.wait("Use `torch.stack`")
    helix.type("Enter")
    helix.wait("torch.stack(losses)")
    helix.wait_until(lambda screen: "no gradient can reach" not in screen, "the finding to go")


def save(helix: Terminal, project: Path) -> None:
    helix.write(":w")
    helix.type("Enter")
    helix.wait_until(lambda _: written_exactly(project) in (MENDED, MENDED_ODD), "the file on the disk")


def test_a_finding_is_shown_and_fixed_beside_another_server(project: Path):
    drive(project)


def test_nothing_else_of_a_file_changes(project: Path):
    programs.write_oddly(project)
    drive(project)
    assert written_exactly(project) == MENDED_ODD


def test_nothing_is_seen_of_a_server_that_does_nothing(project: Path):
    with pytest.raises(NotSeen, match="copies"):
        drive(project, works=False)


def test_helix_finds_no_mistake_in_the_configuration(tmp_path: Path):
    said = subprocess.run(
        [*editor(NAME).command, "--health", "python"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Error parsing" not in said
    (ours,) = [line for line in said.splitlines() if "gradls" in line]
    assert "✓" in ours
