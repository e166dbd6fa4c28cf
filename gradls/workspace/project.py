"""The files of a project by the names under which they import each other."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gradls.flow.names import Answer, ImportedFile, Names, NoNames, Question
from gradls.syntax.edit import Edit
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from gradls.workspace.files import Unreadable, decode
from gradls.workspace.looked import ABSENT, OPEN, PRESENT, Looked, content_of, is_file
from gradls.workspace.modules import find

MOST_FILES = 400
MOST_BYTES = 5_000_000
"""Trees take some fifty times the memory of their text."""
FRESH_NS = 100_000_000
"""A file that changed this short before it was read may have changed after it, too."""
MOST_FOUND = 20_000
"""So many imports are remembered at once."""
MOST_SECONDS = 2.0
"""So long it is taken for granted that an import leads where it led, unless somebody says that something changed."""

PROJECT_FILES = ("pyproject.toml", "gradls.toml", "setup.py", "setup.cfg", ".git")


class _Found(NamedTuple):
    """Where an import statement leads, and what was looked at to find that out."""

    path: str | None
    shown: str
    """The path as it is told to who asked."""
    tried: dict[str, str]


class _Look:
    """What was found out since one began to look; see `one_look`."""

    def __init__(self) -> None:
        self.found: dict[str | None, dict[tuple[str, str], _Found]] = {}
        """By root."""
        self.read: set[str] = set()
        self.kept: dict[Hashable, dict[str, Any]] = {}


_look: _Look | None = None


@contextmanager
def one_look() -> Iterator[None]:
    """Within the block projects take it for granted that nothing changes on disk: where an import leads is found out
    once, whoever asks, and a file that was read is not looked at again."""
    global _look
    before, _look = _look, _Look()
    try:
        yield
    finally:
        _look = before


def kept_for_one_look(key: Hashable) -> dict[str, Any] | None:
    """What those who ask with this key keep for each other within the block of `one_look`; None outside of one."""
    return None if _look is None else _look.kept.setdefault(key, {})


class _Read(NamedTuple):
    """What was read from a file, and what the file system said of it then, if that tells one content from another."""

    status: tuple[int, ...] | None
    state: str
    source: Source | None
    size: int = 0
    """In bytes."""


class _LastRead:
    """What was read last, by path: so many files, and so many bytes of them."""

    def __init__(self) -> None:
        self._reads: OrderedDict[str, _Read] = OrderedDict()
        self._bytes = 0

    def get(self, path: str) -> _Read | None:
        return self._reads.get(path)

    def use(self, path: str, read: _Read) -> None:
        """Keep it longer than all others."""
        old = self._reads.pop(path, None)
        self._bytes += read.size - (old.size if old is not None else 0)
        self._reads[path] = read
        while len(self._reads) > MOST_FILES or (self._bytes > MOST_BYTES and len(self._reads) > 1):
            self._bytes -= self._reads.popitem(last=False)[1].size


_read_last = _LastRead()
"""Of all projects of this process."""


@cache
def project_root(folder: str, among: str | None = None) -> Path:
    """The nearest folder at or above `folder` that holds a project's settings or repository.

    Where there is none, the nearest that is no package, beginning with `among` if that is above `folder`: what somebody
    looks at together.
    """
    path = Path(folder)
    for candidate in (path, *path.parents):
        if any(os.path.exists(candidate / name) for name in PROJECT_FILES):
            return candidate
    if among is not None and among != path.anchor and path.is_relative_to(among):
        path = Path(among)
    around = (path, *path.parents)
    return next((candidate for candidate in around if not os.path.exists(candidate / "__init__.py")), path)


class Answers(Protocol):
    """What is known of names that no file of the project makes."""

    def ask(self, question: Question) -> Answer | None: ...


class Project:
    """The files below `root`, which may import each other, and what is typed in an editor but not saved.

    `opened` gives the text of a path as an editor has it, None if it is not open; `answers` what is known of the
    imports of a file otherwise. Nothing is read before it is asked for, and only what lies in `root`, or beside the
    file that asks where there is no root. All that is looked at is noted in `looked`, if that is given.
    """

    def __init__(
        self,
        root: Path | None,
        opened: Callable[[str], Source | None],
        answers: Callable[[str], Answers] | None,
        looked: Looked | None = None,
    ) -> None:
        self._root = os.path.abspath(root) if root else None
        self._opened = opened
        self._answers = answers
        self._looked = looked
        # Keyed by the file that asks and the module.
        self._found: dict[tuple[str, str], _Found] = {}
        self._since = 0.0

    def names_for(self, path: str) -> ProjectNames:
        """What the file `path` knows about its imports, from now until something changes."""
        return ProjectNames(self, path, self._answers_for(path), Looked(self._looked))

    def changed(self) -> None:
        """Something on disk has changed, or a text was opened or closed."""
        self._found.clear()

    def source(self, path: str, looked: Looked) -> Source | None:
        """The text of a file, None if there is nothing to be read."""
        opened = self._opened(path)
        if opened is not None:
            looked.note(os.path.abspath(path), OPEN)
            return opened
        found = _read(path)
        looked.note(os.path.abspath(path), found.state)
        return found.source

    def find(self, module: str, near: str, looked: Looked) -> str | None:
        """The path of the file that `module`, as an import statement in the file `near` writes it, stands for.

        A relative path if `near` is one; that of an open file is the one that it is open under.
        """
        found = self._once(module, near)
        for path, state in found.tried.items():
            looked.note(path, state)
        if found.path is None:
            return None
        opened = self._opened(found.path)
        return opened.path if opened is not None else found.shown

    def _once(self, module: str, near: str) -> _Found:
        if _look is not None:
            known = _look.found.setdefault(self._root, {})
            if len(known) > MOST_FOUND:
                known.clear()
        else:
            known = self._found
            if time.monotonic() - self._since > MOST_SECONDS:
                known.clear()
                self._since = time.monotonic()
        key = near, module
        found = known.get(key)
        if found is None:
            found = known[key] = self._find(module, near)
        return found

    def _find(self, module: str, near: str) -> _Found:
        tried: dict[str, str] = {}

        def look(path: str, base: str) -> bool:
            present = is_file(path, base)
            tried[path] = PRESENT if present else ABSENT
            return present

        path = find(module, os.path.abspath(near), self._root, look, lambda: self._is_run(near))
        if path is None:
            return _Found(None, "", tried)
        return _Found(path, path if os.path.isabs(near) else os.path.relpath(path), tried)

    def _is_run(self, path: str) -> bool:
        """Is a file a script, by what it says?"""
        source = self.source(path, Looked())
        return source is not None and any(line.startswith("if __name__ ==") for line in source.lines)

    def _answers_for(self, path: str) -> Answers:
        return self._answers(path) if self._answers else NoNames()


def _read(path: str) -> _Read:
    """What is in the file `path` now, which is read again only if it may be another one."""
    known = _read_last.get(path)
    if _look is not None:
        if known is not None and path in _look.read:
            _read_last.use(path, known)
            return known
        _look.read.add(path)
    before = time.time_ns()
    try:
        found = os.stat(path)
        status = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    except OSError:
        return _Read(None, ABSENT, None)
    if known is None or known.status != status:
        state, data = content_of(path)
        if known is None or known.state != state:
            known = _Read(None, state, _parsed(data, path) if data else None, len(data or b""))
        settled = max(found.st_mtime_ns, found.st_ctime_ns) < before - FRESH_NS
        known = known._replace(status=status if settled else None)
    _read_last.use(path, known)
    return known


def reread(path: str) -> tuple[Source, Edit, str] | None:
    """If another text is in the file `path` than was read from it: make it that of the source which was read then, in
    place. Also what that did to the source, and the new state of the path. None if there is nothing to compare with."""
    known = _read_last.get(path)
    if known is None or known.source is None:
        return None
    state, data = content_of(path)
    if not data or state == known.state:
        return None
    try:
        lines = split_lines(decode(data, path).text)
    except Unreadable:
        return None
    _read_last.use(path, known._replace(status=None, state=state, size=len(data)))
    return known.source, known.source.edit(lines), state


def _parsed(data: bytes, path: str) -> Source | None:
    try:
        return Source.read(decode(data, path).text, path)
    except (Unreadable, RecursionError):
        return None


class ProjectNames:
    """What one file knows about the names that it imports; `looked` is what was looked at to find them out."""

    def __init__(self, project: Project, path: str, answers: Answers, looked: Looked) -> None:
        self.looked = looked
        self._project = project
        self._path = path
        self._answers = answers
        self._found: dict[str, ImportedFile | None] = {}

    def ask(self, question: Question) -> Answer | None:
        return self._answers.ask(question)

    def find(self, module: str) -> ImportedFile | None:
        if module not in self._found:
            path = self._project.find(module, self._path, self.looked)
            self._found[module] = None if path is None else _File(self._project, path, self.looked)
        return self._found[module]


class _File:
    """A file of the project."""

    def __init__(self, project: Project, path: str, looked: Looked) -> None:
        self._project = project
        self._looked = looked
        self.path = path
        self._source: Source | None = None

    @property
    def source(self) -> Source:
        if self._source is None:
            self._source = self._project.source(self.path, self._looked) or Source.read("", self.path)
        return self._source

    @property
    def names(self) -> Names:
        return ProjectNames(self._project, self.path, self._project._answers_for(self.path), self._looked)
