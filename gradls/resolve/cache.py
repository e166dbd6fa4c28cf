"""Answers on disk: one SQLite file for each project and environment, which several servers may share.

An answer is used again only while every file that it rests on has the time and the size that it had, and if nothing
has damaged it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from gradls.flow.names import Answer
from gradls.resolve.disk import Database, remove_unused
from gradls.resolve.known import Key
from gradls.resolve.process import FileState

MOST_ROWS = 20_000
SEAL_LENGTH = 32
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


class Cache:
    """The stored answers of one project. For one thread at a time. Nothing here raises for want of a disk."""

    def __init__(self, folder: Path, root: Path, owner: str, version: str) -> None:
        """`root` and `owner` choose the file. `version` says on what all answers depend; others are dropped."""
        self._root = root
        self._version = version
        name = hashlib.sha256(f"{root}\0{owner}".encode(errors="surrogatepass")).hexdigest()[:32]
        self._database = Database(folder / f"{name}.sqlite", TABLES, self._drop_others)
        self._states: dict[str, tuple[int, int] | None] = {}
        remove_unused(folder)

    def load(self, keys: Iterable[Key]) -> dict[Key, tuple[Answer | None, list[str]]]:
        """Those of `keys` whose answers still hold, with the files that they rest on."""
        self._states = {}
        found = {}
        for key in keys:
            with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                for stored_answer, stored_files in self._database.rows(FIND, self._columns(key)):
                    if stored_answer[:SEAL_LENGTH] != self._seal(key, stored_answer[SEAL_LENGTH:], stored_files):
                        continue
                    answer, files = json.loads(stored_answer[SEAL_LENGTH:]), json.loads(stored_files)
                    paths = [os.path.normpath(self._root / relative) for relative, _, _ in files]
                    if all(self._holds(path, *state) for path, (_, *state) in zip(paths, files, strict=True)):
                        found[key] = Answer(answer[0], answer[1], tuple(answer[2])) if answer else None, paths
        return found

    def store(self, entries: Iterable[tuple[Key, Answer | None, tuple[FileState, ...]]]) -> None:
        """Keep `entries`: question, answer and files."""
        rows = []
        for key, answer, files in entries:
            with contextlib.suppress(ValueError):
                states = [(self._relative(path), modified, size) for path, modified, size in files]
                stored = json.dumps(answer), json.dumps(states)
                rows.append((*self._columns(key), self._seal(key, *stored) + stored[0], stored[1]))
        self._database.write(STORE, rows)

    def close(self) -> None:
        self._database.close()

    def _holds(self, path: str, modified: int | None, size: int | None) -> bool:
        if path not in self._states:
            try:
                status = os.stat(path)
            except OSError:
                self._states[path] = None
            else:
                self._states[path] = (status.st_mtime_ns, status.st_size)
        return self._states[path] == (None if modified is None else (modified, size))

    def _seal(self, key: Key, answer: str, files: str) -> str:
        """What only this answer to this question has."""
        text = json.dumps([self._columns(key), answer, files])
        return hashlib.blake2b(text.encode(), digest_size=SEAL_LENGTH // 2, key=self._version.encode()[:64]).hexdigest()

    def _columns(self, key: Key) -> tuple[str, str, str, int]:
        module, name, called = key.question
        return self._relative(key.folder), module, name, int(called)

    def _relative(self, path: str) -> str:
        """`path` as seen from the root. ValueError where there is no way, on another drive."""
        return os.path.relpath(path, self._root)

    def _drop_others(self, connection: sqlite3.Connection) -> None:
        """Leave nothing that depends on something else than the answers of now do, and not too much."""
        if self._is_of_now(connection):
            return
        with connection:
            connection.execute("begin immediate")
            # Another server may have done it meanwhile, and stored answers since.
            if not self._is_of_now(connection):
                connection.execute("delete from meta")
                connection.execute("delete from answers")
                connection.execute("insert into meta values (?)", (self._version,))

    def _is_of_now(self, connection: sqlite3.Connection) -> bool:
        versions = connection.execute("select version from meta").fetchall()
        (rows,) = connection.execute("select count(*) from answers").fetchone()
        return versions == [(self._version,)] and rows <= MOST_ROWS
