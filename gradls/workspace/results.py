"""What was found out about files, kept on disk: each result with the state of all that it rests on.

A result is found by a key for what its maker was given, and used only if every path that was looked at to make it,
also one where there was nothing, is now in the state that it was in then. Paths are kept as seen from the root of the
project: the same files elsewhere are as good.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gradls.resolve.disk import Database, remove_unused
from gradls.workspace.looked import OPEN, Disk

FILE = "results-1.sqlite"
MOST_BYTES = 256 << 20
"""What is used least goes when the file holds more."""
MOST_OF_A_KEY = 8
"""So many results of the same key are looked at: one for each state that the files around have been in lately."""

TABLES = """
create table if not exists results (
    key text not null, looked text not null, used integer not null, content blob not null,
    primary key (key, looked)
);
create index if not exists results_by_use on results (used);
"""
FIND = "select rowid, used, content from results where key=? order by rowid desc limit ?"
STORE = "insert or replace into results (key, looked, used, content) values (?, ?, ?, ?)"
USE = "update results set used=? where rowid=?"
DROP = "delete from results where rowid in (select rowid from results order by used, rowid limit ?)"


class Result(NamedTuple):
    """Something to keep: plain JSON, and the paths, from the root and with slashes, that it rests on."""

    key: str
    looked: Mapping[str, str]
    content: Any


def key_of(*parts: object) -> str:
    """A key for plain data."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def relative(path: str, root: str) -> str | None:
    """The absolute path `path` as it is kept; None for one that does not lie below `root`."""
    above = root.rstrip(os.sep) + os.sep
    return path[len(above) :].replace(os.sep, "/") if path.startswith(above) else None


def absolute(kept: str, root: str) -> str:
    """The path that is kept as `kept`."""
    return os.path.join(root, kept.replace("/", os.sep))


class Results:
    """The results in one folder, which several processes may use. Nothing here raises for want of a disk."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / FILE, TABLES, lambda connection: None)
        self._used: list[tuple[int, int]] = []
        self._today = int(time.time()) // (24 * 3600)
        remove_unused(folder)

    def find(self, key: str, root: str, disk: Disk) -> Any | None:
        """The content kept under `key` that still holds for the project at `root`; None if there is none."""
        for row, used, packed in self._database.rows(FIND, (key, MOST_OF_A_KEY)):
            # What is damaged is not there.
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, zlib.error):
                looked, content = _unpack(key, packed)
                if all(disk.has(absolute(path, root), state) for path, state in looked.items()):
                    if used != self._today:
                        self._used.append((self._today, row))
                    return content
        return None

    def keep(self, results: Iterable[Result]) -> None:
        """Keep `results` for later, and what was used lately for longer."""
        rows = [
            (result.key, key_of(sorted(result.looked.items())), self._today, _pack(result))
            for result in results
            if OPEN not in result.looked.values()
        ]
        self._database.write(STORE, rows)
        self._database.write(USE, self._used)
        self._used = []
        if rows:
            self._make_room()

    def close(self) -> None:
        self.keep(())
        self._database.close()

    def _make_room(self) -> None:
        while True:
            sizes = [self._database.rows(f"pragma {name}") for name in ("page_count", "freelist_count", "page_size")]
            counts = self._database.rows("select count(*) from results")
            if not all(sizes) or not counts or counts[0][0] < 2:
                return
            (pages,), (free,), (size,) = (row[0] for row in sizes)
            if (pages - free) * size <= MOST_BYTES:
                return
            self._database.write(DROP, [(counts[0][0] // 2,)])


def _pack(result: Result) -> bytes:
    packed = zlib.compress(json.dumps([dict(result.looked), result.content]).encode(), 1)
    return _seal(result.key, packed) + packed


def _unpack(key: str, packed: bytes) -> tuple[dict[str, str], Any]:
    """What was packed. ValueError, TypeError or zlib.error if it was not packed for `key`."""
    if _seal(key, packed[16:]) != packed[:16]:
        raise ValueError("damaged")
    looked, content = json.loads(zlib.decompress(packed[16:]))
    return looked, content


def _seal(key: str, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16, key=key.encode()).digest()
