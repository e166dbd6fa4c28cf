"""Garbage is collected when nobody waits: one collection may take longer than an edit and its diagnostics together.

Memory that was in use once is seldom given back to the system, for something that stays is everywhere in it. So what
counts is how much garbage there is at one time. That of edits at one place is young: a quick collection, which looks at
nothing else, finds it. Edits that replace what is old make a thorough one necessary, which looks at everything.

Parsing a file takes large blocks of memory for a moment. The C library keeps them when a thread frees them that is not
the main one, until it is told to give them back.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import cache

MANY = 30_000
"""So many new objects are worth a quick collection, even while somebody types."""
SOME = 5_000
"""So many are worth one while nothing happens."""
GROWTH = 0.15
"""By so much may grow what is in use until a thorough one is worth it, even while somebody types."""
GROWTH_IN_PAUSE = 0.1
PAUSE_SECONDS = 2.0
"""Who has typed nothing for so long does something else for a moment."""
LONG_SECONDS = 10.0
"""Who has typed nothing for so long may read, or be away."""


class Garbage:
    """Says what is to be collected when. Automatic collection is to be switched off (`gc.disable()`)."""

    def __init__(self) -> None:
        self._blocks = 0
        """Of memory, which were in use after the last thorough collection."""
        self._is_clean = True
        """Nothing was collected since by a quick one, which leaves some."""
        self._is_given_back = True
        """No file was read since memory was last given back."""

    def keep(self) -> None:
        """Much was made that will stay: no quick collection is to look at it."""
        gc.freeze()
        gc.unfreeze()
        self._blocks = sys.getallocatedblocks()
        self._is_clean = False
        self._is_given_back = False

    def due(self) -> Callable[[], None] | None:
        """What is to be done now, though somebody types."""
        young = gc.get_count()[0]
        if young < SOME:
            return None
        if self._blocks and self._growth() > GROWTH:
            return self._thorough
        return self._quick if young >= MANY else None

    def any(self, seconds: float) -> Callable[[], None] | None:
        """What is to be done after nothing has happened for so long."""
        young = gc.get_count()[0]
        if seconds >= LONG_SECONDS and not (self._is_clean and young < SOME):
            return self._thorough
        if seconds >= PAUSE_SECONDS and self._blocks and self._growth() > GROWTH_IN_PAUSE:
            return self._thorough
        if young >= SOME:
            return self._quick
        return self._give_back if seconds >= PAUSE_SECONDS and not self._is_given_back else None

    def _growth(self) -> float:
        return sys.getallocatedblocks() / self._blocks - 1

    def _quick(self) -> None:
        self._is_clean = False
        gc.collect(0)

    def _thorough(self) -> None:
        gc.collect()
        self._blocks = sys.getallocatedblocks()
        self._is_clean = True
        self._give_back()

    def _give_back(self) -> None:
        self._is_given_back = True
        trim = _malloc_trim()
        if trim is not None:
            trim(0)


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    """What gives free memory back to the system, `malloc_trim(3)`; None where the C library has none."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except OSError:
        return None
