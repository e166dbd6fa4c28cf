from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradls.flow.names import Answer, Question
from gradls.resolve.resolver import Resolver

MODULE = "torch.nn.modules.module.Module"


class Project:
    """A small project on disk, and a resolver of it."""

    def __init__(self, root: Path, resolver: Resolver) -> None:
        self.root = root
        self.resolver = resolver

    def write(self, path: str, text: str = "") -> Path:
        return write(self.root, path, text)

    def ask(self, module: str, name: str, called: bool = False, near: str = "train.py") -> Answer | None:
        """Find out and answer."""
        asking = str(self.root / near)
        self.resolver.resolve_now({Question(module, name, called)}, asking)
        return self.resolver.names_for(asking).ask(Question(module, name, called))


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def bare_environment(root: Path) -> Path:
    """A virtual environment in which nothing is installed, as far as its folders tell."""
    write(root, ".venv/pyvenv.cfg", "include-system-site-packages = false\n")
    packages = root / f".venv/lib/python3.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    return packages


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What jedi has parsed is the same for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def projects(tmp_path: Path, shared_cache: Path) -> Iterator[Callable[..., Project]]:
    """Makes resolvers of the project in `tmp_path`, whose Python has no torch unless `bare` is false."""
    made: list[Resolver] = []

    def make(bare: bool = True, **options: object) -> Project:
        root = tmp_path / "a project+ü"
        if bare and not root.exists():
            bare_environment(root)
        root.mkdir(exist_ok=True)
        settings = {"timeout": 60.0, "cache": shared_cache, **options}
        made.append(Resolver(root, **settings))  # type: ignore[arg-type]
        return Project(root, made[-1])

    yield make
    for resolver in made:
        resolver.close()


@pytest.fixture
def project(projects: Callable[..., Project]) -> Project:
    return projects()


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether `condition` comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(shown) and not shown.startswith("Z")


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines()
    return [int(child) for child, parent in map(str.split, lines) if int(parent) == pid]
