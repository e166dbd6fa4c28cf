"""Starts, asks and ends the process that looks at closed files (`closed.py`)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from gradls.server.settings import Client, Settings

log = logging.getLogger(__name__)

CODE = "import sys; sys.path[:] = sys.argv[1:]; from gradls.server.closed import main; main()"
SECONDS = 120.0
"""Longer than that nobody looks at one file."""
IDLE_SECONDS = 30.0
MOST_FAILURES = 5
"""So many processes may end one after the other without an answer."""

Json = dict[str, Any]


class Scanner:
    """One process at a time, started when something is asked."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        """`call` has a function called on the thread that wants the answers."""
        self._call = call
        self._requests: queue.SimpleQueue[tuple[Json, Callable[[Json | None], None]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._settings: tuple[Any, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._used: tuple[Any, ...] = ()
        """The settings that the process has."""
        self._texts: dict[str, str] = {}
        self._failures = 0
        self._is_closed = False

    def restart(self, folders: list[Path], settings: Settings, client: Client) -> None:
        """Look at the files in these folders in this way from now on. What is asked now is not answered."""
        self._settings = folders, settings, client.abilities, client.encoding
        self._failures = 0
        self._kill()

    def ask(self, request: Json, then: Callable[[Json | None], None]) -> None:
        """Have `then` called with the answer, or with None if there is none."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="scanner", daemon=True)
            self._thread.start()
        self._requests.put((request, then))

    def close(self) -> None:
        """End the process, and start no other."""
        self._is_closed = True
        self._kill()

    # -- on its own thread

    def _work(self) -> None:
        while not self._is_closed:
            try:
                request, then = self._requests.get(timeout=IDLE_SECONDS if self._process is not None else None)
            except queue.Empty:
                self._end()
                continue
            reply = None
            try:
                reply = self._exchange(request)
            except (OSError, ValueError) as error:
                log.info("the process that looks at closed files: %s", error)
            if reply is None or reply["leaves"]:
                self._end()
            self._failures = self._failures + 1 if reply is None else 0
            self._call(partial(then, reply))

    def _exchange(self, request: Json) -> Json | None:
        news = request.get("texts", {})
        self._texts = {path: text for path, text in {**self._texts, **news}.items() if text is not None}
        if self._process is None or self._process.poll() is not None or self._used is not self._settings:
            self._end()
            if self._failures >= MOST_FAILURES or self._is_closed:
                return None
            self._process = self._start()
            request = {**request, "texts": self._texts}
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            timer.cancel()
        return json.loads(line) if line else None

    def _start(self) -> subprocess.Popen[bytes]:
        # They are not needed for the first findings, and take a while to import.
        import pickle
        import subprocess

        low = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
        # Isolated: what an editor sets for the user's Python could make ours load the workspace's modules.
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", CODE, *(os.path.abspath(path) for path in sys.path if path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=low,
        )
        assert process.stdin is not None
        self._used = self._settings
        process.stdin.write(pickle.dumps(self._used))
        return process

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
