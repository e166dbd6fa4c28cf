"""A client that can send anything at all, over pipes to a server of its own."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from tests.lsp.clients import SECONDS, SERVER

ENCODINGS = {"general": {"positionEncodings": ["utf-8"]}}


class Raw:
    """Reads and writes on two streams. `seen` are the messages from the server so far."""

    def __init__(self, to_server: IO[bytes], from_server: IO[bytes]) -> None:
        self._out = to_server
        self.seen: list[dict[str, Any]] = []
        self.ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(from_server,), daemon=True).start()

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self._out.flush()

    def send(self, *messages: Any) -> None:
        """Send JSON values, all in one write."""
        self.write(b"".join(frame(json.dumps(message).encode()) for message in messages))

    def notify(self, method: str, params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, identifier: Any, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request and wait for what is answered."""
        self.send({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})
        return self.answer(identifier)

    def answer(self, identifier: Any) -> dict[str, Any]:
        """The first answer to this request; with None, to what could not even be read."""
        return self.wait_for(lambda m: "method" not in m and m.get("id", "none") == identifier)

    def versions(self) -> list[int | None]:
        """Those of which diagnostics were published, in order."""
        return [message["params"].get("version") for message in self.seen if _is_publish(message)]

    def published(self, version: int) -> dict[str, Any]:
        return self.wait_for(lambda m: _is_publish(m) and m["params"].get("version") == version)["params"]

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((message for message in self.seen if wanted(message)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() or self.ended, SECONDS), self.seen
            result = found()
            assert result is not None, f"the server has ended: {self.seen}"
            return result

    def begin(self, **options: Any) -> None:
        self.request("begin", "initialize", {"processId": None, "rootUri": None, "capabilities": ENCODINGS, **options})
        self.notify("initialized", {})

    def open(self, uri: str, text: str) -> None:
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def _read(self, stream: IO[bytes]) -> None:
        try:
            while header := stream.readline():
                length = int(header.split(b":")[1])
                while stream.readline().strip():
                    pass
                message = json.loads(stream.read(length))
                with self._changed:
                    self.seen.append(message)
                    self._changed.notify_all()
        except (OSError, ValueError):
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()


def frame(body: bytes, header: bytes = b"Content-Length: %d\r\n\r\n") -> bytes:
    return header % len(body) + body


def _is_publish(message: dict[str, Any]) -> bool:
    return message.get("method") == "textDocument/publishDiagnostics"


@contextmanager
def started(arguments: Sequence[str] = SERVER, **options: Any) -> Iterator[tuple[Raw, subprocess.Popen[bytes]]]:
    """A server on pipes, killed at the end if it is still there."""
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Raw(process.stdin, process.stdout), process
        finally:
            process.kill()
