"""Messages from and to a byte stream, as the base protocol of the Language Server Protocol frames them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

log = logging.getLogger(__name__)


class Unparseable:
    """A message that is no JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def read_messages(stream: BinaryIO) -> Iterator[Any]:
    """What each message says, until the stream ends: any JSON value, or an Unparseable."""
    while (length := _content_length(stream)) is not None:
        body = stream.read(length)
        if len(body) < length:
            return
        try:
            yield json.loads(body)
        except (ValueError, RecursionError) as error:
            yield Unparseable(str(error))


def _content_length(stream: BinaryIO) -> int | None:
    """The length of the next message in bytes; None at the end of the stream. Lines that are no headers are skipped."""
    length: int | None = None
    while line := stream.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
        elif not line.strip() and length is not None:
            return length
    return None


class Inbox:
    """Brings messages from the thread that reads them to the event loop, all that have come since the last time.

    `handle` gets them on the loop: so an edit is known to be overtaken before its analysis begins. `ended` is called
    there after the last one.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handle: Callable[[list[Any]], None], ended: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._ended = ended
        self._messages: deque[Any] = deque()

    def read(self, stream: BinaryIO) -> None:
        """Read until the stream ends. Runs on a thread of its own."""
        try:
            for message in read_messages(stream):
                self._messages.append(message)
                self._call(self._drain)
        except (OSError, ValueError) as error:
            log.error("reading from the client failed: %s", error)
        except MemoryError:
            log.error("a message of the client is too long")
        finally:
            self._call(self._ended)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            log.debug("a message came after the end")

    def _drain(self) -> None:
        messages = []
        while self._messages:
            messages.append(self._messages.popleft())
        if messages:
            self._handle(messages)


class Writer:
    """Writes what pygls gives it. `lost` is called, once, when nobody reads it any more."""

    def __init__(self, stream: BinaryIO, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost
        self._open = True

    def write(self, data: bytes) -> None:
        if not self._open:
            return
        try:
            self._stream.write(data)
            self._stream.flush()
        except (OSError, ValueError):
            self._open = False
            self._lost()

    def close(self) -> None:
        """Nothing: who opened the stream closes it."""
