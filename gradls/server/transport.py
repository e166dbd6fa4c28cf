"""Messages from and to a byte stream, as the base protocol of the Language Server Protocol frames them."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

log = logging.getLogger(__name__)

MOST_AT_ONCE = 1 << 16
LONGEST = 1 << 28
"""A message of more bytes is none, whatever its header says: nobody has a text of that length."""
LONGEST_HEADER = 1 << 13
_LENGTH = re.compile(rb"Content-Length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Unparseable:
    """A message that is no JSON, or has no header that says where it ends."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def read_messages(stream: BinaryIO) -> Iterator[tuple[list[Any], int]]:
    """What each message says, any JSON value or an Unparseable, until the stream ends.

    Those that came together are given together, with how many bytes were read for them: so an edit is known to be
    overtaken before its analysis begins.
    """
    messages, size = Unframed(), 0
    while data := stream.read1(MOST_AT_ONCE):  # type: ignore[attr-defined]
        size += len(data)
        found = list(messages.feed(data))
        if found:
            yield found, size
            size = 0


class Unframed:
    """Takes bytes as they come and gives the messages that are complete.

    What is no message is skipped up to the next header that says how long one is. Such a line is never part of JSON,
    so that a wrong length, or none, costs its own message only.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._length: int | None = None
        """What the headers say so far."""
        self._has_headers = False
        """There are some that have not ended."""
        self._missing: int | None = None
        """How long the body is, once its headers have ended."""
        self._searched = 0
        """So much of a body was looked at that is not complete."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """What is complete with `data`."""
        self._data += data
        while self._missing is not None or self._read_headers():
            if self._missing is None:
                yield Unparseable("no header says how long the message is")
                continue
            if len(self._data) < self._missing:
                if self._has_ended_before():
                    yield Unparseable("the message is shorter than its header says")
                    continue
                return
            body = bytes(self._data[: self._missing])
            del self._data[: self._missing]
            self._missing, self._searched = None, 0
            try:
                yield json.loads(body)
            except (ValueError, RecursionError) as error:
                self._data[:0] = body[_next_header(body) :]
                yield Unparseable(str(error))

    def _has_ended_before(self) -> bool:
        """Whether the headers of another message stand in this one, with which it goes on then."""
        while (end := self._data.find(b"\r\n\r\n", self._searched)) >= 0:
            self._searched = end + 1
            start = max(0, end - LONGEST_HEADER)
            if found := _LENGTH.search(self._data[start : end + 2]):
                del self._data[: start + found.start()]
                self._missing, self._searched = None, 0
                return True
        self._searched = max(0, len(self._data) - 3)
        return False

    def _read_headers(self) -> bool:
        """Whether the headers of a message have ended. If they do not say how long it is, nothing is `_missing`."""
        while (end := self._data.find(b"\n")) >= 0:
            line = bytes(self._data[:end])
            del self._data[: end + 1]
            if found := _LENGTH.search(line):
                self._length = int(found[1])
            if line.strip():
                self._has_headers = True
            elif self._has_headers:
                length, self._length, self._has_headers = self._length, None, False
                self._missing = length if length is not None and length <= LONGEST else None
                return True
        if len(self._data) > LONGEST_HEADER:
            del self._data[: -LONGEST_HEADER // 2]
        return False


def _next_header(body: bytes) -> int:
    """Where the header of the next message begins in what is no JSON, perhaps with its first letters at the end."""
    if found := _LENGTH.search(body):
        return found.start()
    name, end = b"content-length:", body[-30:].lower()
    if (whole := end.rfind(name)) >= 0:
        return len(body) - len(end) + whole
    return len(body) - next((size for size in range(len(name), 0, -1) if end.endswith(name[:size])), 0)


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

    @property
    def is_writing(self) -> bool:
        """Whether somebody writes, which takes long if nobody reads."""
        return self._turn.locked()

    def wait(self) -> None:
        """Wait until what is being written was taken, or never will be."""
        with self._turn:
            pass

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
