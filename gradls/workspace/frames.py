"""The files and lines that the calls of a traceback are on, on this machine, which need not be where it was printed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from gradls.errors.trace import Frame
from gradls.syntax.text import split_lines
from gradls.workspace.config import load_config
from gradls.workspace.files import Text, Unreadable, collect, read_bytes
from gradls.workspace.notebook import Notebook, Stored, is_notebook, stored

MOST_FILES = 20_000
"""So many files are looked at for one that is not where a traceback says."""


class Call(NamedTuple):
    """A call of a traceback in the user's code. `path` is where its file was found, and `line` where its line is now,
    counting from 1 in the module that a notebook's cells are; None and 0 if it was not found. `is_same` is False if the
    line that was printed is not in the file any more."""

    frame: Frame
    path: str | None = None
    line: int = 0
    is_same: bool = True


class Files:
    """The files below `folder` that tracebacks speak of. `opened` are the texts of an editor, by absolute path."""

    def __init__(self, folder: str, opened: Mapping[str, str]) -> None:
        self._folder = folder
        self._opened = opened
        self._found: dict[Frame, Call] = {}
        self.texts: dict[str, Stored] = {}
        """What was read, by path."""
        self.problems: list[str] = []
        """What could not be read, and why."""

    def find(self, frame: Frame) -> Call:
        """Where a call is. Its path is relative if `folder` is and the file lies in it."""
        if frame not in self._found:
            self._found[frame] = self._in_notebook(frame) if frame.cell is not None else self._in_file(frame)
        return self._found[frame]

    def code(self, call: Call) -> str:
        """The line of code of a call: as it was printed, or as it is in the file."""
        if call.frame.text or call.path is None:
            return call.frame.text
        lines = self._lines(call.path)
        return lines[call.line - 1].strip() if call.line <= len(lines) else ""

    def _in_file(self, frame: Frame) -> Call:
        candidates = [path for path in self._candidates(frame.path) if self._read(path) is not None]
        placed = [Call(frame, path, *self._line(path, frame)) for path in candidates]
        if len(placed) > 1:
            # Files of one name: only the one that has this line will do.
            same = [call for call in placed if call.is_same and frame.text]
            placed = same if len(same) == 1 else []
        return placed[0] if placed else Call(frame)

    def _in_notebook(self, frame: Frame) -> Call:
        if not frame.text:
            return Call(frame)
        found = []
        for path in self._all:
            if not is_notebook(path):
                continue
            notebook = self._read(path)
            if isinstance(notebook, Notebook):
                for number, cell in enumerate(notebook.cells.cells):
                    lines = split_lines(cell.text)
                    if frame.line <= len(lines) and lines[frame.line - 1].strip() == frame.text:
                        found.append(Call(frame, path, notebook.cells.line(number, frame.line)))
        return found[0] if len(found) == 1 else Call(frame)

    def _candidates(self, printed: str) -> list[str]:
        """The paths that may be the file that was `printed` so; several only if none is better."""
        direct = os.path.expanduser(printed)
        for path in (direct, os.path.join(self._folder, direct)):
            if os.path.isfile(path):
                return [self._label(path)]
        parts = re.split(r"[\\/]", printed)
        if not parts[-1].endswith(".py"):
            return []
        scored = [(_common_end(parts, re.split(r"[\\/]", os.path.abspath(path))), path) for path in self._all]
        best = max((score for score, _ in scored), default=0)
        return [path for score, path in scored if score == best] if best else []

    @cached_property
    def _all(self) -> list[str]:
        found: list[str] = []
        for path in collect([self._folder], load_config(Path(self._folder))):
            found.append(path)
            if len(found) == MOST_FILES:
                self.problems.append(f"{self._folder} has too many files to look at all of them")
                break
        return found

    def _label(self, path: str) -> str:
        if os.path.isabs(self._folder):
            return os.path.abspath(path)
        relative = os.path.relpath(path)
        return os.path.abspath(path) if relative.startswith(os.pardir) else relative

    def _line(self, path: str, frame: Frame) -> tuple[int, bool]:
        """Where the line of a frame is in a file that may have been edited since, and whether it is there at all."""
        lines = self._lines(path)
        if not frame.text:
            return min(frame.line, max(len(lines), 1)), True
        same = [number for number, line in enumerate(lines, 1) if line.strip() == frame.text]
        if not same:
            return min(frame.line, max(len(lines), 1)), False
        return min(same, key=lambda number: abs(number - frame.line)), True

    def _lines(self, path: str) -> list[str]:
        text = self._read(path)
        return split_lines(text.text) if text is not None else []

    def _read(self, path: str) -> Stored | None:
        if path not in self.texts:
            opened = self._opened.get(os.path.abspath(path))
            try:
                self.texts[path] = Text(opened) if opened is not None else stored(read_bytes(path), path)
            except Unreadable as unreadable:
                self.problems.append(f"{path}: {unreadable}")
                return None
        return self.texts[path]


def _common_end(one: list[str], other: list[str]) -> int:
    """How many parts two paths have in common at their ends."""
    return next((n for n, (a, b) in enumerate(zip(reversed(one), reversed(other), strict=False)) if a != b), len(one))
