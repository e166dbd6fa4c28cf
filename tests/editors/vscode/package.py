"""The extension, as its makers build it."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.editors.vscode.host import Host

EXTENSION = Path(__file__).parents[3] / "editors" / "vscode"


class NotBuilt(Exception):
    """A command failed; the message has what it said."""


def run(host: Host, *command: str, folder: Path = EXTENSION) -> str:
    """What a command of Node says, run in the folder of the extension once its libraries are there."""
    with _alone():
        _libraries(host)
    return _run(host, *command, folder=folder)


def package(host: Host, into: Path) -> Path:
    """The extension as a file to install, made in the folder `into`."""
    file = into / "gradls.vsix"
    with _alone():
        _libraries(host)
        _run(host, "npm", "run", "--silent", "package", "--", "--out", str(file), folder=EXTENSION)
    return file


@contextmanager
def _alone() -> Iterator[None]:
    """Whoever else builds there waits."""
    with open(EXTENSION / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _libraries(host: Host) -> None:
    """Those that package-lock.json names."""
    have, want = EXTENSION / "node_modules" / ".package-lock.json", EXTENSION / "package-lock.json"
    if not have.exists() or have.stat().st_mtime < want.stat().st_mtime:
        _run(host, "npm", "ci", "--no-fund", "--no-audit", "--loglevel=error", folder=EXTENSION)


def _run(host: Host, *command: str, folder: Path) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        env=host.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    if ended.returncode != 0:
        raise NotBuilt(f"`{' '.join(command)}` failed:\n{ended.stdout}")
    return ended.stdout
