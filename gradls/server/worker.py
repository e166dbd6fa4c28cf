"""A thread that does one thing after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

# Deeply nested code recurses in C while it is parsed; the default of macOS for threads is half a megabyte.
STACK_BYTES = 64 * 1024 * 1024


class Worker:
    """Runs what it is given, in order, on a thread of its own.

    Not a ThreadPoolExecutor: its threads take no stack size and keep a process that is told to exit alive.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        previous = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        finally:
            threading.stack_size(previous)

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job`, which raises nothing, after those before it."""
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job()
            del job
