"""What an analysis saw of the disk: a result can be used again for as long as it would see the same."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Set

MOST_BYTES = 1 << 20
"""A larger file is data that happens to be Python."""

ABSENT, PRESENT, TOO_LARGE, UNREADABLE, OPEN = "absent", "present", "too large", "unreadable", "open"
"""The states of a path besides the digest of a file's content: PRESENT is a file that was not read, OPEN one whose text
an editor has."""

_IGNORES_CASE = sys.platform in ("win32", "darwin")


def digest(data: bytes) -> str:
    """A name for this very content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def is_file(path: str, base: str) -> bool:
    """Whether there is a file `path`, whose part below the folder `base` is spelled so: Python imports no `Net.py` as
    `net`, whatever the file system thinks of it."""
    if not os.path.isfile(path):
        return False
    return not _IGNORES_CASE or _is_spelled_so(path, base)


def _is_spelled_so(path: str, base: str) -> bool:
    while len(path) > len(base):
        path, name = os.path.split(path)
        try:
            if name not in os.listdir(path):
                return False
        except OSError:
            return False
    return True


def content_of(path: str) -> tuple[str, bytes]:
    """The state of `path`, and its content if that state is a digest."""
    try:
        if not os.path.isfile(path):
            return ABSENT, b""
        if os.path.getsize(path) > MOST_BYTES:
            return TOO_LARGE, b""
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return ABSENT, b""
    except OSError:
        return UNREADABLE, b""
    return digest(data), data


class Looked:
    """The paths that were looked at, each with the state that it was in.

    `torn` says that one of them was seen in two states: what was concluded belongs to no moment.
    """

    __slots__ = ("_outer", "states", "torn")

    def __init__(self, outer: Looked | None = None) -> None:
        """Everything that is noted here is noted in `outer`, too."""
        self.states: dict[str, str] = {}
        self.torn = False
        self._outer = outer

    def note(self, path: str, state: str) -> None:
        """The absolute path `path` is in `state`."""
        known = self.states.setdefault(path, state)
        if known != state:
            if known == PRESENT and state != ABSENT:
                self.states[path] = state
            elif state != PRESENT or known == ABSENT:
                self.torn = True
        if self._outer is not None:
            self._outer.note(path, state)

    def include(self, other: Looked) -> None:
        """Note all that `other` has."""
        for path, state in other.states.items():
            self.note(path, state)
        self.torn = self.torn or other.torn

    def read(self, path: str) -> bool:
        """Whether the content of `path` was looked at, on disk or as an editor had it."""
        return self.states.get(path, ABSENT) not in (ABSENT, PRESENT)

    def differs(self, changed: Set[str], now: Disk) -> bool:
        """Whether a path in `changed`, or in a folder that is, has another state on disk than was seen there."""
        folders: dict[str, bool] = {}

        def holds(folder: str) -> bool:
            known = folders.get(folder)
            if known is None:
                above = os.path.dirname(folder)
                known = folders[folder] = folder in changed or (above != folder and holds(above))
            return known

        return any(
            state != OPEN and (path in changed or holds(os.path.dirname(path))) and not now.has(path, state)
            for path, state in self.states.items()
        )


class Disk:
    """The state that paths are in now, each found out once."""

    def __init__(self, contents: Callable[[str], tuple[str, bytes]] = content_of) -> None:
        self._contents = contents
        self._states: dict[str, str] = {}
        self._present: dict[str, bool] = {}

    def has(self, path: str, state: str) -> bool:
        """Whether `path` is in `state`, which is never OPEN here."""
        if state in (ABSENT, PRESENT):
            present = self._present.get(path)
            if present is None:
                present = self._present[path] = is_file(path, os.path.dirname(path))
            return present is (state == PRESENT)
        return self.state(path) == state

    def state(self, path: str) -> str:
        """The digest of what is in `path` now, or why there is none."""
        found = self._states.get(path)
        if found is None:
            found = self._states[path] = self._contents(path)[0]
        return found
