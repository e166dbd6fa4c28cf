"""The answers in memory, and which of them a changed file takes away."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gradls.flow.names import Answer, Question


class Key(NamedTuple):
    """A question and the folder of the file that asks it: relative imports and siblings depend on that."""

    folder: str
    question: Question


class Known:
    """What is known by `Key`; a question whose answer is not to be had is known too, as None.

    Reading is safe beside a thread that writes; writers take turns.
    """

    def __init__(self) -> None:
        self.answers: dict[Key, Answer | None] = {}
        self._by_file: defaultdict[str, set[Key]] = defaultdict(set)
        self._suspects: set[Key] = set()
        self._tick = 0
        self._changes: dict[str, int] = {}

    def now(self) -> int:
        """A point in time to give to `add`: what changes after it outdates the answer."""
        return self._tick

    def add(self, key: Key, answer: Answer | None, files: Iterable[str], since: int) -> bool:
        """Remember an answer that rests on `files` as they were at `since`. False if one has changed meanwhile."""
        files = [os.path.normcase(file) for file in files]
        if any(self._changes.get(part, 0) > since for file in files for part in (file, os.path.dirname(file))):
            return False
        for file in files:
            self._by_file[file].add(key)
        self.answers[key] = answer
        return True

    def suspect(self, key: Key) -> None:
        """Give up a question that kept the worker busy for too long, until something changes."""
        self.answers[key] = None
        self._suspects.add(key)

    def changed(self, path: str) -> set[Key]:
        """Forget what rests on the file `path`, or on what is in the folder `path`. Returns what is open again."""
        path = os.path.normcase(path)
        self._tick += 1
        self._changes[path] = self._tick
        below = path + os.sep
        files = [path] if path in self._by_file else [file for file in self._by_file if file.startswith(below)]
        forgotten = {key for file in files for key in self._by_file.pop(file)} | self._suspects
        self._suspects = set()
        for key in forgotten:
            self.answers.pop(key, None)
        return forgotten
