"""Looking up names runs nothing of the workspace."""

from __future__ import annotations

import os
import py_compile
import shlex
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import jedi  # type: ignore[import-untyped]
import pytest

from gradls.flow.names import Answer, Question
from gradls.resolve.disk import Folder
from tests.resolve.conftest import MODULE, Project, children, write

MARK = "import os; open({path!r}, 'a').write(__file__ + '\\n')\n"
MODULES = ("sitecustomize", "usercustomize", "losses", "gi", "numpy", "conftest", "jedi", "parso", "json")


def traps(root: Path, marker: Path) -> None:
    """Files that write `marker` when somebody runs or imports them."""
    code = MARK.format(path=str(marker))
    for name in MODULES:
        write(root, f"{name}.py", f"{code}from torch import nn\nclass Net(nn.Module): ...\n")
        write(root, f"torchlike_{name}/__init__.py", code)
    write(root, "compiled.py", code)
    py_compile.compile(str(root / "compiled.py"), cfile=str(root / "compiled.pyc"))
    (root / "compiled.py").unlink()
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    (root / f"extension{suffix}").write_bytes(b"not a library")
    for name in (".venv", "interpreter"):
        python = write(root, f"{name}/bin/python", f"#!/bin/sh\necho {name} >> {shlex.quote(str(marker))}\n")
        python.chmod(0o755)
        write(root, f"{name}/pyvenv.cfg", f"home = {root}/interpreter/bin\n")
        packages = root / f"{name}/lib/python3.{sys.version_info[1]}/site-packages"
        write(packages, "sitecustomize.py", code)
        write(packages, "trap.pth", code)
        write(packages, "installed.py", f"{code}def f() -> int: ...\n")
    write(root, ".jedi/project.json", f'[1, {{"path": ".", "environment_path": "{root}/interpreter/bin/python"}}]')


QUESTIONS = [
    *(Question(name, "Net", called) for name in MODULES for called in (False, True)),
    *(Question(f"torchlike_{name}", "", False) for name in MODULES),
    Question("compiled", "os", False),
    Question("compiled", "os.path", True),
    Question("extension", "f", True),
    Question("installed", "f", True),
    Question("numpy.random", "default_rng", True),
]


@pytest.mark.parametrize(("trusted", "named"), [(False, False), (False, True), (True, True)])
def test_nothing_of_the_workspace_runs(
    projects: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool, named: bool
) -> None:
    """In a trusted workspace neither, if what claims to be its Python is none that the system knows."""
    marker = tmp_path / "marker"
    root = tmp_path / "a project+ü"
    root.mkdir()
    traps(root, marker)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("PYTHONSTARTUP", str(root / "losses.py"))
    monkeypatch.setenv("VIRTUAL_ENV", str(root / "interpreter"))
    monkeypatch.setenv("CONDA_PREFIX", str(root / "interpreter"))
    python = str(root / "interpreter/bin/python") if named else None
    project = projects(python=python, trusted=trusted, cache=tmp_path / "cache")
    near = str(root / "train.py")
    assert project.resolver.resolve_now(QUESTIONS, near)
    assert project.resolver.ask(Question("losses", "Net", False), near) == Answer("class", "losses.Net", (MODULE,))
    assert project.resolver.ask(Question("installed", "f", True), near) == Answer("instance", "builtins.int")
    assert not marker.exists(), marker.read_text()


def test_the_traps_are_live(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    traps(tmp_path, marker)
    subprocess.run([str(tmp_path / ".venv/bin/python")], check=True)
    subprocess.run([sys.executable, "-c", "import compiled, losses"], cwd=tmp_path, check=False, capture_output=True)
    seen = marker.read_text()
    assert ".venv" in seen
    assert "compiled" in seen


def test_torch_is_not_imported(projects: Callable[..., Project]) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    project = projects(bare=False)
    assert project.ask("torch", "_C") == Answer("module", "torch._C")
    worker = project.resolver.worker_pid
    assert worker is not None
    for process in (worker, *children(worker)):
        assert "libtorch" not in Path(f"/proc/{process}/maps").read_text()


def test_a_trusted_environment_is_run(projects: Callable[..., Project], tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    try:
        jedi.create_environment(str(environment), safe=True)
    except jedi.InvalidPythonEnvironment:
        pytest.skip("this Python is none that jedi trusts")
    packages = next((environment / "lib").glob("python*/site-packages"))
    write(packages, "added.pth", "import sys; sys.path.append(sys.prefix + '/more')\n")
    write(environment, "more/zoo.py", "class Net: ...\n")
    untrusted = projects(python=str(environment))
    assert untrusted.ask("zoo", "Net") is None
    trusted = projects(python=str(environment / "bin/python"), trusted=True)
    assert trusted.ask("zoo", "Net") == Answer("class", "zoo.Net")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes")
def test_the_cache_is_private(projects: Callable[..., Project], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    project = projects(cache=cache)
    project.write("losses.py", "x = 1\n")
    assert project.ask("losses", "x")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert (cache / "jedi").is_dir()


def test_a_cache_that_is_not_ours_is_not_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    folder = Folder(tmp_path / "link", private=True)
    assert not folder.lasting
    assert folder.path not in (tmp_path / "link", elsewhere)
    folder.close()
    assert not folder.path.exists()
    (tmp_path / "file").write_text("")
    folder = Folder(tmp_path / "file" / "cache", private=True)
    assert not folder.lasting
    folder.close()
