"""The files of a project by the names under which they import each other."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

from gradls.flow.names import Answer, ImportedFile, Names, NoNames, Question
from gradls.syntax.source import Source
from gradls.workspace.files import Unreadable, read

MOST_BYTES = 1 << 20
"""A larger file is data that happens to be Python."""
MOST_SOURCES = 400

PROJECT_FILES = ("pyproject.toml", "gradls.toml", "setup.py", "setup.cfg", ".git")

_State = tuple[int, int]
_sources: OrderedDict[str, tuple[_State, Source]] = OrderedDict()
"""What was read last, of all projects of this process: path to the state of the file, and its text."""


@cache
def project_root(folder: str) -> Path:
    """The nearest folder at or above `folder` that holds a project's settings or repository.

    Where there is none, the nearest that is no package.
    """
    path = Path(folder)
    around = (path, *path.parents)
    for candidate in around:
        if any((candidate / name).exists() for name in PROJECT_FILES):
            return candidate
    return next((candidate for candidate in around if not (candidate / "__init__.py").exists()), path)


class Answers(Protocol):
    """What is known of names that no file of the project makes."""

    def ask(self, question: Question) -> Answer | None: ...


class Project:
    """The files below `root`, which may import each other, and what is typed in an editor but not saved.

    `opened` gives the text of a path as an editor has it, None if it is not open; `answers` what is known of the
    imports of a file otherwise. Nothing is read before it is asked for, and only what lies in `root`, or beside the
    file that asks where there is no root.
    """

    def __init__(
        self, root: Path | None, opened: Callable[[str], Source | None], answers: Callable[[str], Answers] | None
    ) -> None:
        self._root = os.path.abspath(root) if root else None
        self._opened = opened
        self._answers = answers

    def names_for(self, path: str) -> Names:
        """What the file `path` knows about its imports, from now until something changes."""
        return _ProjectNames(self, path, self._answers(path) if self._answers else NoNames())

    def source(self, path: str) -> Source | None:
        """The text of a file, None if there is nothing to be read."""
        opened = self._opened(path)
        if opened is not None:
            return opened
        try:
            status = os.stat(path)
        except OSError:
            return None
        state = (status.st_mtime_ns, status.st_size)
        held = _sources.get(path)
        if held is not None and held[0] == state:
            _sources.move_to_end(path)
            return held[1]
        if status.st_size > MOST_BYTES:
            return None
        try:
            source = Source.read(read(path).text, path)
        except (Unreadable, RecursionError):
            return None
        _sources[path] = state, source
        _sources.move_to_end(path)
        while len(_sources) > MOST_SOURCES:
            _sources.popitem(last=False)
        return source

    def find(self, module: str, near: str) -> str | None:
        """The path of the file that `module`, as an import statement in the file `near` writes it, stands for.

        A relative path if `near` is one.
        """
        folder = os.path.dirname(os.path.abspath(near))
        parts = [part for part in module.lstrip(".").split(".") if part]
        level = len(module) - len(module.lstrip("."))
        for base in [_above(folder, level - 1)] if level else self._bases(folder):
            found = self._module_in(base, parts)
            if found is not None and found != os.path.abspath(near):
                return found if os.path.isabs(near) else os.path.relpath(found)
        return None

    def _bases(self, folder: str) -> list[str]:
        """Where Python may look for a module that a file in `folder` imports, nearest first.

        A folder that is a package is not such a place: in it, modules are found through their package.
        """
        inside = self._root is not None and (folder + os.sep).startswith(self._root.rstrip(os.sep) + os.sep)
        bases = []
        while True:
            if not os.path.isfile(os.path.join(folder, "__init__.py")):
                bases.append(folder)
                if not inside:
                    return bases
            if folder == self._root or os.path.dirname(folder) == folder:
                break
            folder = os.path.dirname(folder)
        if self._root is not None:
            bases += [self._root, os.path.join(self._root, "src")]
        return bases

    def _module_in(self, base: str, parts: list[str]) -> str | None:
        path = os.path.join(base, *parts)
        for candidate in (f"{path}.py" if parts else "", os.path.join(path, "__init__.py")):
            if candidate and os.path.isfile(candidate):
                return candidate
        return None


def _above(folder: str, levels: int) -> str:
    for _ in range(levels):
        folder = os.path.dirname(folder)
    return folder


class _ProjectNames:
    """What one file knows about the names that it imports."""

    def __init__(self, project: Project, path: str, answers: Answers) -> None:
        self._project = project
        self._path = path
        self._answers = answers
        self._found: dict[str, ImportedFile | None] = {}

    def ask(self, question: Question) -> Answer | None:
        return self._answers.ask(question)

    def find(self, module: str) -> ImportedFile | None:
        if module not in self._found:
            path = self._project.find(module, self._path)
            self._found[module] = None if path is None else _File(self._project, path)
        return self._found[module]


class _File:
    """A file of the project."""

    def __init__(self, project: Project, path: str) -> None:
        self._project = project
        self.path = path
        self._source: Source | None = None

    @property
    def source(self) -> Source:
        if self._source is None:
            self._source = self._project.source(self.path) or Source.read("", self.path)
        return self._source

    @property
    def names(self) -> Names:
        return self._project.names_for(self.path)
