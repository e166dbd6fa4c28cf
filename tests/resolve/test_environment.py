"""Where the user's packages are, without running anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gradls.resolve.environment import find_environment
from gradls.resolve.search_path import package_top, project_folders
from tests.resolve.conftest import bare_environment, write


@pytest.fixture(autouse=True)
def nothing_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)


def test_none(tmp_path: Path) -> None:
    assert find_environment(tmp_path).packages == ()
    assert find_environment(None).packages == ()
    assert find_environment(tmp_path, "/nowhere/python").packages == ()


def test_in_the_root_or_active_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = {name: str(bare_environment(tmp_path / name)) for name in ("root", "active", "named")}
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "active/.venv"))
    assert find_environment(None).packages == (packages["active"],)
    assert find_environment(tmp_path / "root").packages == (packages["root"],)
    python = tmp_path / "named/.venv/bin/python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    for named in (python, python.parent.parent, Path("../named/.venv")):
        assert [os.path.realpath(path) for path in find_environment(tmp_path / "root", str(named)).packages] == [
            packages["named"]
        ]


def test_the_system_packages_of_an_environment_that_shows_them(tmp_path: Path) -> None:
    mine = bare_environment(tmp_path)
    base = tmp_path / "base/lib/python3.11/site-packages"
    base.mkdir(parents=True)
    settings = tmp_path / ".venv/pyvenv.cfg"
    settings.write_text(f"home = {tmp_path}/base/bin\ninclude-system-site-packages = false\n")
    assert find_environment(tmp_path).packages == (str(mine),)
    settings.write_text(f"home = {tmp_path}/base/bin\ninclude-system-site-packages = true\n")
    assert find_environment(tmp_path).packages == (str(mine), str(base))
    settings.write_text(f"home = {tmp_path}/.venv/bin\ninclude-system-site-packages = true\n")
    assert find_environment(tmp_path).packages == (str(mine),)


def test_editable_installs(tmp_path: Path) -> None:
    packages = bare_environment(tmp_path)
    (tmp_path / "source").mkdir()
    (packages / "a.pth").write_text(f"{tmp_path}/source\n# {tmp_path}\nimport os\n{tmp_path}/absent\n../..\n")
    assert find_environment(tmp_path).editable == (str(tmp_path / "source"), str(packages.parent.parent))


def test_installing_changes_the_state(tmp_path: Path) -> None:
    packages = bare_environment(tmp_path)
    before = find_environment(tmp_path).state()
    assert find_environment(tmp_path).state() == before
    os.utime(packages, (1, 1))
    assert find_environment(tmp_path).state() != before


def test_folders_of_a_project(tmp_path: Path) -> None:
    write(tmp_path, "src/pkg/__init__.py")
    write(tmp_path, "src/pkg/deep/__init__.py")
    write(tmp_path, "scripts/more/run.py")
    root, deep, scripts = tmp_path, tmp_path / "src/pkg/deep", tmp_path / "scripts/more"
    assert package_top(deep) == tmp_path / "src"
    assert project_folders(root, scripts, relative=False) == (
        (str(scripts), str(root), str(root / "src")),
        (str(root / "scripts"), str(scripts)),
    )
    assert project_folders(root, deep, relative=False) == (
        (str(root), str(root / "src")),
        (str(root / "src"), str(deep)),
    )
    assert project_folders(root, deep, relative=True) == ((str(root / "src"), str(root)), ())
    # The opened folder is inside the package.
    assert project_folders(tmp_path / "src/pkg", deep, relative=True) == ((str(root / "src"),), ())
