"""What the client is told about the server itself: log messages, a trace if it wants one, and what to ask again."""

from __future__ import annotations

import logging
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from gradls.syntax.text import visible

if TYPE_CHECKING:
    from gradls.server.connection import Connection
    from gradls.server.snapshots import Analysis, Snapshot

MOST_TOLD = 1000
ERROR, WARNING, INFO, LOG = 1, 2, 3, 4
_TYPES = {logging.ERROR: ERROR, logging.WARNING: WARNING, logging.INFO: INFO}


def tell_client(connection: Connection) -> None:
    """Send what gradls logs as `window/logMessage`, too."""
    logger = logging.getLogger("gradls")
    for handler in [each for each in logger.handlers if isinstance(each, _Client)]:
        logger.removeHandler(handler)
    logger.addHandler(_Client(connection))
    logger.setLevel(logging.INFO)


class _Client(logging.Handler):
    """From any thread. It does not keep the connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.INFO)
        self._connection = weakref.ref(connection)
        self._told: set[str] = set()
        self.addFilter(Once())

    def emit(self, record: logging.LogRecord) -> None:
        connection, message = self._connection(), visible(self.format(record))
        if connection is None:
            return
        if record.levelno == logging.INFO:
            # What was found is news once, however often it is found.
            if message in self._told or len(self._told) == MOST_TOLD:
                return
            self._told.add(message)
        connection.notify("window/logMessage", {"type": _TYPES.get(record.levelno, LOG), "message": message})


class Once(logging.Filter):
    """Lets each mistake of gradls pass once: it would be made again with each keystroke."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        mistake = getattr(record, "mistake", None)
        if mistake is None:
            return True
        is_new = mistake not in self._told
        self._told.add(mistake)
        return is_new


class Trace:
    """`$/logTrace`, as much of it as the client has asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._value = "off"

    def set(self, value: Any) -> None:
        """`off`, `messages` or `verbose`; anything else changes nothing."""
        if value in ("off", "messages", "verbose"):
            self._value = value

    def analysed(self, snapshot: Snapshot, analysis: Analysis) -> None:
        """A text was analysed."""
        if self._value == "off":
            return
        params = {"message": f"{snapshot.label}: analysed in version {snapshot.version}"}
        if self._value == "verbose":
            params["verbose"] = (
                f"{len(snapshot.lines)} lines, {len(analysis.diagnostics)} characters of diagnostics, "
                f"{len(analysis.questions)} names to look up, open files that look at it: {list(analysis.affected)}"
            )
        self._connection.notify("$/logTrace", params)


class Refreshes:
    """Asks the client to ask again, once at a time for each kind of question."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wanted: dict[str, bool] = {}
        """The requests that the client has not answered, and whether there is news since."""

    def send(self, method: str) -> None:
        """Send the request `method` now, or when the last one is answered."""
        if method in self._wanted:
            self._wanted[method] = True
            return
        self._wanted[method] = False
        answered = partial(self._answered, method)
        self._connection.ask(method, None, answered, answered)

    def _answered(self, method: str, answer: object = None) -> None:
        if self._wanted.pop(method):
            self.send(method)
