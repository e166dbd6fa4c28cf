"""Waiting for files to change, by looking at them again and again: that works on every disk and needs no library."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from gradls.workspace.files import SKIPPED_FOLDERS

SETTINGS = ("gradls.toml", "pyproject.toml", ".gitignore")
MOST_PATHS = 50_000
"""So many are looked at in a folder; what lies deeper than these is not."""
INTERVAL = 0.3
MOST_SHARE = 0.1
"""Of its time looking may take so much: where there are many files, it is done less often."""


class _State(NamedTuple):
    modified: int
    size: int
    number: int


class Changes:
    """What changes below some folders, in Python files, notebooks, settings and folders, and in some other files."""

    def __init__(self, folders: Iterable[str], files: Iterable[str] = ()) -> None:
        """Begin with what is there now."""
        self._folders = [os.path.abspath(folder) for folder in folders]
        self._files = [os.path.abspath(file) for file in files]
        self._seen = self._look()

    def wait(self) -> set[str]:
        """The absolute paths that are not what they were when this began, or gone, as soon as there are any and nothing
        changes any more."""
        changed: set[str] = set()
        while True:
            before = time.monotonic()
            now = self._look()
            time.sleep(max(INTERVAL, (time.monotonic() - before) / MOST_SHARE))
            new = {path for path in now.keys() | self._seen.keys() if now.get(path) != self._seen.get(path)}
            self._seen = now
            if changed and not new:
                return changed
            changed |= new

    def _look(self) -> dict[str, _State]:
        found: dict[str, _State] = {}
        for path in self._files:
            try:
                found[path] = _state(os.stat(path))
            except OSError:
                continue
        for folder in self._folders:
            _look_into(folder, found)
        return found


def _look_into(top: str, found: dict[str, _State]) -> None:
    pending, most = [top], len(found) + MOST_PATHS
    for folder in pending:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if len(found) >= most:
                        return
                    _note(entry, found, pending)
        except OSError:
            continue


def _note(entry: os.DirEntry[str], found: dict[str, _State], pending: list[str]) -> None:
    """What of an entry of a folder matters: its state, and whether to look into it."""
    try:
        if entry.name.endswith((".py", ".pyi", ".ipynb")) or entry.name in SETTINGS:
            found[entry.path] = _state(entry.stat())
        elif entry.name not in SKIPPED_FOLDERS and entry.is_dir(follow_symlinks=False):
            found[entry.path] = _State(0, 0, 0)
            pending.append(entry.path)
    except OSError:  # a link that leads nowhere
        return


def _state(status: os.stat_result) -> _State:
    return _State(status.st_mtime_ns, status.st_size, status.st_ino)
