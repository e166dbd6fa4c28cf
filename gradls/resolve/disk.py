"""What is kept on disk between runs: in which folder, and how SQLite is used so that nothing rests on it.

A file that cannot be read as it should is replaced by an empty one; a disk that cannot be written is no cache. Only
JSON is kept, so that what somebody else wrote there can run nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import platformdirs

import gradls

log = logging.getLogger(__name__)

ENVIRONMENT = "GRADLS_CACHE_DIR"
TREES = "jedi"
"""What jedi keeps, in a private folder only: it runs what it finds there."""
UNUSED_SECONDS = 90 * 24 * 3600
PAUSE_SECONDS = 30.0
"""So long a database that was locked or could not be written is left alone."""


def chosen_folder() -> Path | None:
    """The folder that the environment names for what is kept."""
    name = os.environ.get(ENVIRONMENT)
    return Path(os.path.abspath(name)) if name else None


def own_folder() -> Path:
    """The folder for what is kept where nobody names one."""
    return Path(platformdirs.user_cache_dir("gradls", appauthor=False))


def fingerprint(*packages: str) -> str:
    """What changes whenever the text or the data of these packages of gradls does."""
    top = os.path.dirname(gradls.__file__)
    found = hashlib.blake2b(gradls.__version__.encode(), digest_size=16)
    for package in packages:
        for folder, folders, names in os.walk(os.path.join(top, package)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                found.update(f"{os.path.relpath(path, top)}\0{len(data)}\0".encode())
                found.update(data)
    return found.hexdigest()


class Folder:
    """A folder for what is kept. Where it cannot be had it is a temporary one, which goes with `close`."""

    def __init__(
        self, folder: Path | None = None, private: bool = False, lasting: bool = True, workspace: Path | None = None
    ) -> None:
        """`folder` defaults to the user's cache folder, which is private as `private` ones are: only this user can
        read or write there, and which are not used if they lie in the `workspace`. Unless it is to be `lasting` it is a
        temporary one in any case."""
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.lasting = lasting
        try:
            if lasting:
                self.path = _usable(folder or own_folder(), private or folder is None, workspace)
        except OSError as error:
            log.info("nothing is kept on disk: %s", error)
            self.lasting = False
        if not self.lasting:
            # Where there is no room at all it is none. Those who read and write here can do without.
            self.path = Path(os.devnull, "gradls")
            with contextlib.suppress(OSError):
                self._temporary = tempfile.TemporaryDirectory(prefix="gradls-")
                self.path = Path(self._temporary.name)

    def close(self) -> None:
        if self._temporary:
            with contextlib.suppress(OSError):
                self._temporary.cleanup()


def _usable(folder: Path, private: bool, workspace: Path | None) -> Path:
    """`folder`, made if need be. OSError if it cannot be written, or should be private and may hold what is somebody
    else's."""
    if private and workspace is not None and _is_within(folder, workspace) and not _is_within(Path.home(), workspace):
        # What is in it may have come with the rest.
        raise PermissionError(f"{folder} is in the workspace")
    made = not os.path.exists(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if private and hasattr(os, "getuid"):
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
    if made and not private:
        # Somebody chose it, perhaps in a repository.
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _is_within(inner: Path, outer: Path) -> bool:
    return Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer))


class Database:
    """A SQLite file that several processes may share, and that may be lost at any time. For one thread at a time.

    Nothing here raises for want of a disk.
    """

    def __init__(self, file: Path, tables: str, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """`tables` are made if they are not there; `prepare` sees a connection before anything else does."""
        self.file = file
        self._tables = tables
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self._not_before = 0.0

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        """The rows that `statement` gives; none if the file is of no use."""
        found = self._attempt(lambda connection: connection.execute(statement, parameters).fetchall())
        return found if found is not None else []

    def write(self, statement: str, many: Iterable[Sequence[object]]) -> None:
        """Run `statement` with each of `many`, and commit."""
        listed = list(many)

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(statement, listed)

        if listed:
            self._attempt(work)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _attempt(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        for _ in range(2):
            if time.monotonic() < self._not_before:
                break
            try:
                return work(self._open())
            except UnicodeError:
                # A path that is no text.
                break
            except sqlite3.OperationalError as error:
                if "UTF-8" in str(error):
                    # What was text is none.
                    self._discard()
                    continue
                # Locked for long by another process, or nothing can be written.
                log.info("%s is left alone for a while: %s", self.file, error)
                self.close()
                self._not_before = time.monotonic() + PAUSE_SECONDS
            except (sqlite3.Error, sqlite3.Warning) as error:
                log.info("%s is started anew: %s", self.file, error)
                self._discard()
        return None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connection = sqlite3.connect(self.file, timeout=1.0, check_same_thread=False)
            connection.execute("pragma synchronous=off")
            connection.execute("pragma trusted_schema=off")
            connection.executescript(self._tables)
            self._prepare(connection)
            with contextlib.suppress(OSError):
                os.utime(self.file)
        return self._connection

    def _discard(self) -> None:
        self.close()
        try:
            self.file.unlink(missing_ok=True)
        except OSError:
            self._not_before = float("inf")


def remove_unused(folder: Path) -> None:
    """Projects come and go; what is kept of them in `folder` should go with them."""
    with contextlib.suppress(OSError):
        for file in folder.glob("*.sqlite"):
            if file.stat().st_mtime < time.time() - UNUSED_SECONDS:
                file.unlink()
