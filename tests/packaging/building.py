"""The distributions of this checkout, built with what is installed; and the other Pythons of the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OLDEST = (3, 10)
# What is needed to build and install it: the rest of the checkout may be large.
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore", ".pre-commit-hooks.yaml", "gradls")


def clean_environment(**more: str) -> dict[str, str]:
    """That of this process, without what makes Python find this checkout, or git behave as somebody wants it."""
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_REQUIRE_VIRTUALENV", "FORCE_COLOR", "NO_COLOR")
    kept = {key: value for key, value in os.environ.items() if key not in left_out and not key.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **more}


def copy_of_the_project(folder: Path) -> Path:
    """What is needed of the checkout, copied to `folder`."""
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder


def build(kind: str, project: Path, out: Path) -> Path:
    """Build the `wheel` or the `sdist` of `project`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, env=clean_environment(), timeout=300)
    assert run.returncode == 0, run.stderr
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def other_pythons() -> dict[tuple[int, int], Path]:
    """The Pythons of this machine that gradls supports, by version, but for the one that runs this: those on the path,
    and those that pyenv and uv have installed."""
    home = Path.home()
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for versions in (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions", home / ".local/share/uv/python"):
        folders += [path / "bin" for path in sorted(versions.glob("*"))]
    candidates = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("python3.*"))]
    found: dict[tuple[int, int], Path] = {}
    for path in candidates:
        match = re.fullmatch(r"python3\.(\d+)", path.name)
        version = (3, int(match[1])) if match else OLDEST
        if match and OLDEST <= version != sys.version_info[:2] and version not in found and _works(path, version):
            found[version] = path
    return found


def _works(python: Path, version: tuple[int, int]) -> bool:
    """A shim of pyenv may stand for a version that is not chosen, and Debian's Python may come without venv."""
    program = "import sys, venv, ensurepip, sqlite3, ssl; print(sys.version_info[:2])"
    try:
        run = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.stdout.strip() == str(version)
