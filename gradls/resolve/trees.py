"""What jedi has parsed, kept on disk: a damaged file is none, and nothing rests on what clocks say.

jedi's own way is to believe what it can unpickle, for as long as the file that was parsed is not newer than the tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import time
from pathlib import Path
from typing import Any

FRESH_NS = 50_000_000
"""A file that changed this short before it was read may have changed after it, too."""
UNUSED_SECONDS = 30 * 24 * 3600
_SEAL_BYTES = 16

State = tuple[int, int, int, int]
"""When a file was modified and changed, in nanoseconds, its size and its number."""


class Trees:
    """The trees in one private folder, which several processes may use. Nothing here raises for want of a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[State, float, bool]] = {}
        """By path: the state that a file was in when somebody looked last, a number that grows with each other one, and
        whether it may still change without looking otherwise."""
        self._is_tidy = False

    def install(self) -> None:
        """Have parso keep its trees here."""
        from parso import cache
        from parso.file_io import FileIO

        trees = self

        def last_modified(file: Any) -> float | None:
            return trees.last_modified(file.path)

        FileIO.get_last_modified = last_modified  # type: ignore[method-assign]
        cache._load_from_file_system = self.load
        cache._save_to_file_system = self.save
        cache._remove_cache_and_update_lock = self.tidy

    def last_modified(self, path: Any) -> float | None:
        """A number that is greater whenever the file `path` may be another one; None if there is none."""
        state = state_of(path)
        if state is None:
            return None
        known = self._seen.get(str(path))
        if known is None or known[0] != state:
            fresh = max(state[:2]) > time.time_ns() - FRESH_NS
            known = self._seen[str(path)] = state, (known[1] if known else 0.0) + 1.0, fresh
        return known[1]

    def load(self, grammar: str, path: Any, number: float, cache_path: object = None) -> Any:
        """The tree of the file `path` as it is now; None if that is not known."""
        from parso import cache

        state = state_of(path)
        try:
            data = self._file(grammar, path).read_bytes()
            if data[:_SEAL_BYTES] != self._seal(grammar, path, state, data[_SEAL_BYTES:]):
                return None
            item = pickle.loads(data[_SEAL_BYTES:])
        except OSError:
            return None
        item.change_time = number
        cache._set_cache_item(grammar, path, item)
        return item.node

    def save(self, grammar: str, path: Any, item: Any, cache_path: object = None) -> None:
        """Keep the tree `item` of the file `path`, if that is still what was parsed."""
        before = self._seen.get(str(path))
        state = state_of(path)
        if before is None or state != before[0]:
            # What was read is not what there is: it is parsed again when it is needed.
            item.change_time = -1.0
            return
        if before[2]:
            return
        file = self._file(grammar, path)
        beside = file.with_suffix(f".{os.getpid()}")
        try:
            packed = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
            file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(self._seal(grammar, path, state, packed) + packed)
            beside.replace(file)
        except (OSError, RecursionError):
            with contextlib.suppress(OSError):
                beside.unlink()

    def tidy(self, cache_path: object = None) -> None:
        """Once: remove what nobody has written for long."""
        if not self._is_tidy:
            self._is_tidy = True
            with contextlib.suppress(OSError):
                for file in self._folder.rglob("*.*"):
                    if file.stat().st_mtime < time.time() - UNUSED_SECONDS:
                        file.unlink()

    def _file(self, grammar: str, path: Any) -> Path:
        name = hashlib.blake2b(f"{grammar}\0{path}".encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return self._folder / "trees" / f"{name}.pkl"

    def _seal(self, grammar: str, path: Any, state: State | None, packed: bytes) -> bytes:
        """What only this tree of this file in this state has, pickled by this parso."""
        import parso

        about = f"{parso.__version__}\0{grammar}\0{path}\0{state}\0".encode(errors="surrogatepass")
        return hashlib.blake2b(about + packed, digest_size=_SEAL_BYTES).digest()


def state_of(path: Any) -> State | None:
    """The state of the file `path`, None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
