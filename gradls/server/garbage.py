"""Garbage is collected when nobody waits: one collection may take longer than an edit and its diagnostics together.

What lives long is frozen, so that a collection looks only at what was made since the last one. Garbage among what is
frozen stays until a thorough collection, which looks at everything.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

MANY = 200_000
"""So many new objects are worth a collection, even while somebody types."""
SOME = 5_000
"""So many are worth one while nothing happens."""
UNTIL_THOROUGH = 4
"""So many collections are followed by a thorough one, even while somebody types."""
LONG_SECONDS = 10.0
"""Who has typed nothing for so long may read, or be away."""


class Garbage:
    """Says what is to be collected when. Automatic collection is to be switched off (`gc.disable()`)."""

    def __init__(self) -> None:
        self._collections = 0

    def keep(self) -> None:
        """Much was made that will stay."""
        gc.freeze()
        self._collections += 1

    def due(self) -> Callable[[], None] | None:
        """What is to be done now, though somebody types."""
        if gc.get_count()[0] < MANY:
            return None
        return self._thorough if self._collections >= UNTIL_THOROUGH else self._quick

    def any(self, seconds: float) -> Callable[[], None] | None:
        """What is to be done after nothing has happened for so long."""
        if seconds >= LONG_SECONDS and self._collections:
            return self._thorough
        return self._quick if gc.get_count()[0] >= SOME else None

    def _quick(self) -> None:
        self._collections += 1
        gc.collect()
        gc.freeze()

    def _thorough(self) -> None:
        self._collections = 0
        gc.unfreeze()
        gc.collect()
        gc.freeze()
