"""Work-done progress: what a client shows while something takes long."""

from __future__ import annotations

import itertools
import time
from typing import Any

from gradls.server.connection import Connection

SECONDS_BETWEEN_REPORTS = 0.2

_tokens = itertools.count(1)


class Progress:
    """One piece of work, shown under `token` from `begin` to `end`. Both may be called more than once."""

    def __init__(self, connection: Connection, token: Any) -> None:
        self.token = token
        self._connection = connection
        self._is_shown = False
        self._is_ready = True
        self._last = 0.0

    @classmethod
    def of_server(cls, connection: Connection) -> Progress:
        """Under a token that the client is asked to make; nothing is shown until it has."""
        progress = cls(connection, f"gradls-progress-{next(_tokens)}")
        progress._is_ready = False
        return progress

    def begin(self, title: str) -> None:
        """Begin to show that, with a way to cancel it."""
        if self._is_shown:
            return
        self._is_shown = True
        if self._is_ready:
            self._begin(title)
        else:
            params = {"token": self.token}
            self._connection.ask("window/workDoneProgress/create", params, lambda _: self._made(title))

    def report(self, done: int, total: int) -> None:
        """So much is done, told now and then."""
        now = time.monotonic()
        if self._is_shown and self._is_ready and now - self._last > SECONDS_BETWEEN_REPORTS:
            self._last = now
            self._say({"kind": "report", "message": f"{done} of {total} files", "percentage": 100 * done // total})

    def end(self, message: str) -> None:
        """It is over."""
        if self._is_shown and self._is_ready:
            self._say({"kind": "end", **({"message": message} if message else {})})
        self._is_shown = False

    def _made(self, title: str) -> None:
        self._is_ready = True
        if self._is_shown:
            self._begin(title)

    def _begin(self, title: str) -> None:
        self._say({"kind": "begin", "title": title, "cancellable": True, "percentage": 0})

    def _say(self, value: dict[str, Any]) -> None:
        self._connection.notify("$/progress", {"token": self.token, "value": value})
