"""Garbage is collected when nobody waits: one collection may take longer than an edit and its diagnostics together.

What lives long is frozen, which keeps collections short; garbage among it stays until a thorough collection.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

MANY = 200_000
"""So many objects more than after the last collection are worth one, even while somebody types."""
SOME = 5_000
"""So many are worth one while nothing happens."""
UNTIL_THOROUGH = 30
"""So many collections while somebody types are followed by a thorough one."""


class Garbage:
    """Says what is to be collected when. Automatic collection is to be switched off (`gc.disable()`)."""

    def __init__(self) -> None:
        self._collections = 0

    def due(self) -> Callable[[], None] | None:
        """What cannot wait until nothing happens."""
        if gc.get_count()[0] < MANY:
            return None
        return self._thorough if self._collections >= UNTIL_THOROUGH else self._quick

    def any(self) -> Callable[[], None] | None:
        """What can be done while nothing happens."""
        if gc.get_count()[0] < SOME and self._collections == 0:
            return None
        return self._thorough

    def _quick(self) -> None:
        self._collections += 1
        gc.collect()

    def _thorough(self) -> None:
        self._collections = 0
        gc.unfreeze()
        gc.collect()
        gc.freeze()
