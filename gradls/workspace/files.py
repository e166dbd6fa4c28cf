"""Which files are checked, and their text."""

from __future__ import annotations

import dataclasses
import io
import os
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradls.rules.finding import TextEdit
from gradls.workspace.config import Config
from gradls.workspace.edits import apply_edits
from gradls.workspace.selection import relative_to

if TYPE_CHECKING:
    # Only who looks for files needs it: a language server is told of them.
    import pathspec

SKIPPED_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", ".eggs", "node_modules", "build", "dist"),
        *(
            ".ipynb_checkpoints",
            "__pycache__",
            "__pypackages__",
            "site-packages",
            ".mypy_cache",
            ".pytest_cache",
            ".ruff_cache",
        ),
    }
)


class Unreadable(Exception):
    """A file whose text is not to be had: the path, a 1-based line, and why."""

    def __init__(self, path: str, reason: str, line: int = 1) -> None:
        super().__init__(f"could not be read: {reason}")
        self.path, self.line = path, line


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its line ends as they are, and the encoding that it was stored in."""

    text: str
    encoding: str = "utf-8"
    cells: None = None

    @property
    def stored(self) -> str:
        """What the file says."""
        return self.text

    @property
    def data(self) -> bytes:
        """What is in the file. UnicodeError if the encoding has not all the characters."""
        return self.text.encode(self.encoding)

    def edited(self, edits: Sequence[TextEdit]) -> Text:
        """With edits of the text."""
        return dataclasses.replace(self, text=apply_edits(self.text, edits))


def decode(data: bytes, path: str) -> Text:
    """The text of a Python file: in UTF-8 unless a mark or a coding line says otherwise (PEP 263)."""
    encoding = "utf-8"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return Text(data.decode(encoding), encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(path, f"byte {data[error.start]:#04x} is not {encoding}", line) from None
    except SyntaxError as error:
        raise Unreadable(path, error.msg) from None
    except (LookupError, ValueError):
        # Python has codecs that are no encodings of texts, and some that give up in words of their own.
        raise Unreadable(path, f"it is not {encoding}") from None


def read_bytes(path: str) -> bytes:
    """What is in the file `path`; Unreadable if that is not to be had."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise Unreadable(path, getattr(error, "strerror", None) or str(error)) from None


def read(path: str) -> Text:
    """The text of the file `path`; Unreadable where there is none."""
    return decode(read_bytes(path), path)


def collect(arguments: Iterable[str], config: Config) -> Iterator[str]:
    """The files that `arguments` name, each once: a file as it is, a folder's Python files and notebooks in order.

    In folders, what .gitignore files, the configuration's `exclude` and the usual places for what is not the user's
    (virtual environments, build output) name is left out. An argument that does not exist is given as it is: reading
    it says why.
    """
    import pathspec

    excluded = pathspec.GitIgnoreSpec.from_lines(config.exclude)
    seen: set[str] = set()
    for argument in arguments:
        files = _walk(argument, excluded, config.root) if os.path.isdir(argument) else [argument]
        for path in files:
            key = os.path.abspath(path)
            if key not in seen:
                seen.add(key)
                yield path


@dataclass(frozen=True, slots=True)
class _Ignores:
    """A .gitignore, and the folder that it speaks of."""

    folder: str
    spec: pathspec.GitIgnoreSpec


def _walk(top: str, excluded: pathspec.GitIgnoreSpec, root: Path | None) -> Iterator[str]:
    above = _ignores_above(top)
    if _is_ignored(os.path.abspath(top), True, above):
        above = []  # asked for by name
    pending = [(top, above)]
    while pending:
        folder, ignores = pending.pop()
        ignores = [*ignores, *_ignores_in(folder)]
        files, folders = _entries(folder)
        for name in files:
            path = _join(folder, name)
            if not excluded.match_file(relative_to(path, root)) and not _is_ignored(path, False, ignores):
                yield path
        inner = []
        for name in folders:
            path = _join(folder, name)
            if not excluded.match_file(relative_to(path, root) + "/") and not _is_ignored(path, True, ignores):
                inner.append((path, ignores))
        pending.extend(reversed(inner))


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """The names of a folder's Python files and notebooks, and of the folders to go into, sorted; none of an unreadable
    one."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_FOLDERS and not _is_environment(entry.path):
                        folders.append(entry.name)
                elif entry.name.endswith((".py", ".ipynb")) and os.path.isfile(entry.path):  # a link may lead to itself
                    files.append(entry.name)
    except OSError:
        return [], []
    return sorted(files), sorted(folders)


def _join(folder: str, name: str) -> str:
    return name if folder == os.curdir else os.path.join(folder, name)


def _is_environment(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _ignores_in(folder: str, name: str = ".gitignore") -> list[_Ignores]:
    import pathspec

    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        return []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [_Ignores(os.path.abspath(folder), pathspec.GitIgnoreSpec.from_lines(file))]
    except (OSError, ValueError):
        return []


def _ignores_above(folder: str) -> list[_Ignores]:
    """The .gitignore files above `folder` in its repository, and what is ignored in this clone only, outermost first;
    none outside of a repository."""
    inner = Path(os.path.abspath(folder))
    found: list[_Ignores] = []
    for parent in (inner, *inner.parents):
        if parent != inner:
            found = [*_ignores_in(str(parent)), *found]
        if os.path.exists(parent / ".git"):
            return [*_ignores_in(str(parent), os.path.join(".git", "info", "exclude")), *found]
    return []


def _is_ignored(path: str, is_folder: bool, ignores: Sequence[_Ignores]) -> bool:
    """What the innermost .gitignore that says anything about `path` says."""
    absolute = os.path.abspath(path)
    for entry in reversed(ignores):
        relative = os.path.relpath(absolute, entry.folder).replace(os.sep, "/") + ("/" if is_folder else "")
        include = entry.spec.check_file(relative).include
        if include is not None:
            return include
    return False
