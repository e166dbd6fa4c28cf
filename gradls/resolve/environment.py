"""Where the user's Python keeps its packages, found by looking at folders: no interpreter is run for it."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """`python` is an interpreter or the folder of a virtual environment, to be run only in a trusted workspace.

    `packages` are its folders of installed packages, `editable` what their .pth files add. All empty: nothing was
    found, and gradls' own packages stand in.
    """

    python: str | None = None
    packages: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()

    def state(self) -> list[object]:
        """What changes whenever something is installed or removed."""
        return [self.python, [[path, modified(path)] for path in self.packages or own_packages()], list(self.editable)]


def find_environment(root: Path | None, python: str | None = None) -> Environment:
    """The environment of `python` (an interpreter's path or name, or a virtual environment's folder); without it, the
    one inside `root`, the active one, or none."""
    for candidate in _candidates(root, python):
        prefix = _prefix(candidate)
        packages = tuple(_packages(prefix)) if prefix else ()
        if packages:
            editable = tuple(dict.fromkeys(path for folder in packages for path in _editable(Path(folder))))
            return Environment(str(candidate), packages, editable)
    return Environment()


def own_packages() -> list[str]:
    """The folders of packages that gradls' own Python has."""
    return [path for path in site.getsitepackages() if os.path.isdir(path)]


def modified(path: str) -> int:
    """The modification time of `path` in nanoseconds, 0 if there is nothing."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _candidates(root: Path | None, python: str | None) -> Iterator[Path]:
    if python:
        path = Path(os.path.expanduser(python))
        if root and not path.is_absolute() and os.path.exists(root / path):
            path = root / path
        elif not path.is_absolute():
            from shutil import which

            path = Path(which(python) or python)
        yield path
    if root:
        yield from (root / name for name in (".venv", "venv", "env") if os.path.isfile(root / name / "pyvenv.cfg"))
    yield from (Path(os.environ[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if os.environ.get(name))


def _prefix(path: Path) -> Path | None:
    """The folder of the environment whose interpreter, or which itself, is at `path`. Links are not followed: the
    interpreter of a virtual environment is one."""
    if os.path.isdir(path):
        return path
    if not os.path.isfile(path):
        return None
    return path.parent.parent if path.parent.name in ("bin", "Scripts") else path.parent


def _packages(prefix: Path) -> list[str]:
    found = list(_installed(prefix))
    settings = _settings(prefix / "pyvenv.cfg")
    if settings.get("include-system-site-packages") == "true" and "home" in settings:
        found += _installed(Path(settings["home"]).parent)
    # lib64 is often a link to lib.
    return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]


def _installed(prefix: Path) -> Iterator[str]:
    for pattern in ("lib/python3*/site-packages", "lib64/python3*/site-packages", "Lib/site-packages"):
        yield from (path for path in reversed(_matching(prefix, pattern)) if os.path.isdir(path))
    if prefix == Path("/usr"):
        yield from (path for path in _matching(prefix, "lib/python3/dist-packages") if os.path.isdir(path))
        yield from reversed(_matching(prefix, "local/lib/python3*/dist-packages"))


def _matching(folder: Path, pattern: str) -> list[str]:
    """The paths below `folder` that match, sorted; none where that cannot be read."""
    try:
        return [str(path) for path in sorted(folder.glob(pattern))]
    except OSError:
        return []


def _settings(path: Path) -> dict[str, str]:
    parts = (line.partition("=") for line in _lines(path))
    return {key.strip(): value.strip() for key, found, value in parts if found}


def _lines(path: Path) -> list[str]:
    """None of what is no file: reading a pipe or a device may never end."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if os.path.isfile(path) else []
    except OSError:
        return []


def _editable(packages: Path) -> Iterator[str]:
    """The folders that .pth files name. Lines that are code are left alone."""
    for file in _matching(packages, "*.pth"):
        for line in _lines(Path(file)):
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                folder = packages / line.strip()
                if os.path.isdir(folder):
                    yield os.path.normpath(folder)
