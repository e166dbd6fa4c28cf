"""Messages from and to a byte stream, as the base protocol of the Language Server Protocol frames them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

log = logging.getLogger(__name__)

MOST_AT_ONCE = 1 << 16


class Unparseable:
    """A message that is no JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def read_messages(stream: BinaryIO) -> Iterator[list[Any]]:
    """What each message says, any JSON value or an Unparseable, until the stream ends.

    Those that came together are given together: so an edit is known to be overtaken before its analysis begins.
    """
    messages = Unframed()
    while data := stream.read1(MOST_AT_ONCE):  # type: ignore[attr-defined]
        found = list(messages.feed(data))
        if found:
            yield found


class Unframed:
    """Takes bytes as they come and gives the messages that are complete. Lines that are no headers are skipped."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._length: int | None = None
        """What the headers say so far."""
        self._missing: int | None = None
        """How long the body is, once its headers have ended."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """What is complete with `data`."""
        self._data += data
        while self._missing is not None or self._read_headers():
            assert self._missing is not None
            if len(self._data) < self._missing:
                return
            body = bytes(self._data[: self._missing])
            del self._data[: self._missing]
            self._length = self._missing = None
            try:
                yield json.loads(body)
            except (ValueError, RecursionError) as error:
                yield Unparseable(str(error))

    def _read_headers(self) -> bool:
        """Whether the headers of a message have ended."""
        while (end := self._data.find(b"\n")) >= 0:
            line = bytes(self._data[:end])
            del self._data[: end + 1]
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                self._length = int(value)
            elif not line.strip() and self._length is not None:
                self._missing = self._length
                return True
        return False


def frame(body: bytes) -> bytes:
    """A message as it is sent."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Writer:
    """Writes whole messages, from any thread. `lost` is called, once, when nobody reads them any more."""

    def __init__(self, stream: BinaryIO, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost
        self._open = True
        self._turn = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write messages that are framed."""
        with self._turn:
            if not self._open:
                return
            try:
                self._stream.write(data)
                self._stream.flush()
                return
            except (OSError, ValueError):
                self._open = False
        self._lost()

    def close(self) -> None:
        """Nothing: who opened the stream closes it."""
