"""Answers on disk: one SQLite file for each project and environment, which several servers may share.

An answer is used again only while every file that it rests on has the time and the size that it had. A file that cannot
be read as it should is replaced by an empty one; a disk that cannot be written is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from gradls.flow.names import Answer
from gradls.resolve.known import Key
from gradls.resolve.process import FileState

log = logging.getLogger(__name__)

FORMAT = 1
MOST_ROWS = 20_000
UNUSED_SECONDS = 90 * 24 * 3600
TABLES = """
create table if not exists meta (version text not null);
create table if not exists answers (
    folder text not null, module text not null, name text not null, called integer not null,
    answer text not null, files text not null,
    primary key (folder, module, name, called)
) without rowid;
"""
FIND = "select answer, files from answers where folder=? and module=? and name=? and called=?"
STORE = "insert or replace into answers values (?, ?, ?, ?, ?, ?)"


class PrivateFolder:
    """A folder that only this user can read or write: jedi unpickles what it finds there."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` defaults to the user's cache folder; where that cannot be had, it is a temporary one."""
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        try:
            self.path = _private(folder or Path(platformdirs.user_cache_dir("gradls", appauthor=False)))
        except OSError as error:
            log.info("no cache of names: %s", error)
            self._temporary = tempfile.TemporaryDirectory(prefix="gradls-")
            self.path = Path(self._temporary.name)

    @property
    def lasting(self) -> bool:
        return self._temporary is None

    def close(self) -> None:
        if self._temporary:
            with contextlib.suppress(OSError):
                self._temporary.cleanup()


class Cache:
    """The stored answers of one project. For one thread at a time. Nothing here raises for want of a disk."""

    def __init__(self, folder: Path, root: Path, owner: str, version: str) -> None:
        """`root` and `owner` choose the file. `version` says on what all answers depend; others are dropped."""
        self._root = root
        self._version = version
        name = hashlib.sha256(f"{root}\0{owner}".encode(errors="surrogatepass")).hexdigest()[:32]
        self._file = folder / f"{name}.sqlite"
        self._states: dict[str, tuple[int, int] | None] = {}
        self._connection: sqlite3.Connection | None = None
        self._usable = True
        self._remove_unused()

    def load(self, keys: Iterable[Key]) -> dict[Key, tuple[Answer | None, list[str]]]:
        """Those of `keys` whose answers still hold, with the files that they rest on."""
        self._states = {}
        found = {}
        for key in keys:
            row = self._run(
                "select answer, files from answers where folder=? and module=? and name=? and called=?", key
            )
            with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                if row:
                    answer, files = json.loads(row[0][0]), json.loads(row[0][1])
                    paths = [os.path.normpath(self._root / relative) for relative, _, _ in files]
                    if all(self._holds(path, *state) for path, (_, *state) in zip(paths, files, strict=True)):
                        found[key] = Answer(answer[0], answer[1], tuple(answer[2])) if answer else None, paths
        return found

    def store(self, entries: Iterable[tuple[Key, Answer | None, tuple[FileState, ...]]]) -> None:
        """Keep `entries`: question, answer and files."""
        for key, answer, files in entries:
            with contextlib.suppress(ValueError):
                states = [(self._relative(path), modified, size) for path, modified, size in files]
                self._run(
                    "insert or replace into answers values (?, ?, ?, ?, ?, ?)",
                    key,
                    json.dumps(answer),
                    json.dumps(states),
                )
        self._commit()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _holds(self, path: str, modified: int | None, size: int | None) -> bool:
        if path not in self._states:
            try:
                status = os.stat(path)
            except OSError:
                self._states[path] = None
            else:
                self._states[path] = (status.st_mtime_ns, status.st_size)
        return self._states[path] == (None if modified is None else (modified, size))

    def _relative(self, path: str) -> str:
        """`path` as seen from the root. ValueError where there is no way, on another drive."""
        return os.path.relpath(path, self._root)

    def _run(self, statement: str, key: Key | None = None, *values: str) -> list[tuple[str, ...]]:
        """The rows that `statement` gives; none if the file is of no use."""
        parameters: tuple[object, ...] = ()
        if key:
            module, name, called = key.question
            parameters = (self._relative(key.folder), module, name, int(called), *values)
        for _ in range(2):
            if not self._usable:
                break
            try:
                return self._open().execute(statement, parameters).fetchall()
            except sqlite3.OperationalError as error:
                # Locked for long by another server, or nothing can be written.
                log.debug("the cache of names: %s", error)
                break
            except sqlite3.DatabaseError as error:
                log.info("the cache of names is started anew: %s", error)
                self._discard()
        return []

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connection = sqlite3.connect(self._file, timeout=1.0, check_same_thread=False)
            connection.execute("pragma synchronous=off")
            connection.executescript(TABLES)
            versions = connection.execute("select version from meta").fetchall()
            (rows,) = connection.execute("select count(*) from answers").fetchone()
            if versions != [(self._version,)] or rows > MOST_ROWS:
                connection.execute("delete from meta")
                connection.execute("delete from answers")
                connection.execute("insert into meta values (?)", (self._version,))
                connection.commit()
            os.utime(self._file)
        return self._connection

    def _commit(self) -> None:
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                self._connection.commit()

    def _discard(self) -> None:
        self.close()
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            self._usable = False

    def _remove_unused(self) -> None:
        """Projects come and go; their caches should go with them."""
        with contextlib.suppress(OSError):
            for file in self._file.parent.glob("*.sqlite"):
                if file.stat().st_mtime < time.time() - UNUSED_SECONDS:
                    file.unlink()


def _private(folder: Path) -> Path:
    """`folder`, made if need be and closed to others. OSError if it belongs to somebody else or cannot be written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid"):
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
    with tempfile.TemporaryFile(dir=folder):
        return folder
