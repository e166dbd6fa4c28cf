"""The loop of the server: functions that are called one after the other on one thread."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from functools import partial

log = logging.getLogger(__name__)

SOON, LATER = 0.5, 2.0


class Loop:
    """Calls what it is given, in order, on the thread that runs it.

    Not asyncio: that takes longer to import than to answer `initialize`, and twice as long to wake up.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._status: int | None = None

    def call(self, function: Callable[[], None]) -> None:
        """Call `function` soon. From any thread."""
        self._calls.put(function)

    def stop(self, status: int) -> None:
        """End, once what is being called has returned; `run` returns `status`, or that of the first who said so."""
        if self._status is None:
            self._status = status
        self._calls.put(_nothing)

    def run(
        self, proceed: Callable[[], None], idle: Callable[[float], None], soon: float = SOON, later: float = LATER
    ) -> int:
        """Call until somebody stops it.

        `proceed` is called whenever nothing else is left to call; `idle` when there was nothing for the seconds `soon`,
        and then after every `later` ones, with how many it was altogether.
        """
        idle_for, pause = 0.0, soon
        while self._status is None:
            try:
                function = self._calls.get(timeout=pause)
                idle_for, pause = 0.0, soon
            except queue.Empty:
                idle_for, pause = idle_for + pause, later
                function = partial(idle, idle_for)
            _call(function)
            while self._status is None and not self._calls.empty():
                _call(self._calls.get_nowait())
            if self._status is None:
                _call(proceed)
        return self._status


def _call(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:
        log.exception("something failed that should not; please report this")


def _nothing() -> None:
    pass
