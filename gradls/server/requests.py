"""What pygls answers: on a thread of its own, which begins when it is first needed.

To import pygls takes longer than to analyse a file.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio

    from gradls.server.documents import Document
    from gradls.server.features import Features
    from gradls.server.server import Server

log = logging.getLogger(__name__)

NOTIFICATIONS = frozenset(
    {
        "$/cancelRequest",
        "textDocument/didSave",
        "workspace/didChangeWorkspaceFolders",
    }
)
"""Those that are handled there."""


class Subject(NamedTuple):
    """The document that a message is about, as it was when the message came."""

    document: Document
    revision: int


class Requests:
    """Hands messages over in the order in which they come, and keeps them until somebody takes them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._waiting: deque[Callable[[Features], None]] = deque()
        self._thread: threading.Thread | None = None
        self._running: tuple[asyncio.AbstractEventLoop, Features] | None = None

    def receive(self, message: dict[str, Any], subject: Subject | None) -> None:
        """Handle a message when it is its turn."""
        if self._thread is not None or message.get("method") != "$/cancelRequest":
            self.begin()
            self._do(lambda features: features.receive(message, subject))

    def cancel(self) -> None:
        """Cancel all requests: the client is leaving."""
        if self._thread is not None:
            self._do(lambda features: features.cancel())

    def begin(self) -> None:
        """Get ready for messages."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="requests", daemon=True)
            self._thread.start()

    def _do(self, function: Callable[[Features], None]) -> None:
        self._waiting.append(function)
        if self._running is not None:
            loop, features = self._running
            loop.call_soon_threadsafe(self._hand_over, features)

    def _run(self) -> None:
        import asyncio

        from gradls.server.features import Features

        async def serve() -> None:
            features = Features(self._server)
            self._running = asyncio.get_running_loop(), features
            self._hand_over(features)
            await asyncio.Event().wait()

        asyncio.run(serve())

    def _hand_over(self, features: Features) -> None:
        while self._waiting:
            self._waiting.popleft()(features)
