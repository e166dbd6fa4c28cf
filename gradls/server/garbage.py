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


PAUSE_SECONDS = 2.0
"""Who has typed nothing for so long does something else for a moment."""
GROWTH = 0.25
"""By so much may grow what is frozen until it is worth such a moment to look for garbage in it."""


class Garbage:
    """Says what is to be collected when. Automatic collection is to be switched off (`gc.disable()`)."""

    def __init__(self) -> None:
        self._collections = 0
        self._frozen = 0
        """So many objects were frozen after the last thorough collection."""

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
        grown = gc.get_freeze_count() - self._frozen
        if seconds >= PAUSE_SECONDS and grown > max(MANY, GROWTH * self._frozen):
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
        self._frozen = gc.get_freeze_count()
