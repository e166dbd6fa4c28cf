"""A client that speaks to a language server over stdio and notes when what arrives."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from benchmarks.processes import Failed, environment

Json = dict[str, Any]


class Change(NamedTuple):
    """From where to where (0-based line and UTF-16 column) which text takes the place of what is there."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


class Published(NamedTuple):
    """Diagnostics, and when they were there: seconds as `time.perf_counter` counts them."""

    at: float
    diagnostics: list[Json]


CAPABILITIES: Json = {
    "textDocument": {
        "synchronization": {"didSave": True},
        "publishDiagnostics": {
            "relatedInformation": True,
            "versionSupport": True,
            "codeDescriptionSupport": True,
            "dataSupport": True,
            "tagSupport": {"valueSet": [1, 2]},
        },
    },
    "workspace": {"workspaceFolders": True, "configuration": True},
    "window": {"workDoneProgress": True},
    "general": {"positionEncodings": ["utf-16"]},
}
"""Those of an editor to which servers push their diagnostics: all of them can."""


class Client:
    """A running server with a folder as its workspace. As a context manager it ends the server."""

    def __init__(self, command: list[str], folder: Path, cache: Path) -> None:
        self.folder = folder
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed when the server has ended
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(cache),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._number = 0
        self._versions: dict[str, int] = {}
        self._arrived: queue.Queue[tuple[float, Json | None]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._send({"id": 0, "method": "shutdown", "params": None})
            self._send({"method": "exit", "params": None})
            self.process.wait(3)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._log.close()

    def initialize(self, limit: float = 60) -> float:
        """Begin to talk; return when the server answered."""
        root = self.folder.as_uri()
        params = {
            "processId": os.getpid(),
            "rootUri": root,
            "rootPath": str(self.folder),
            "workspaceFolders": [{"uri": root, "name": self.folder.name}],
            "capabilities": CAPABILITIES,
        }
        number = self._request("initialize", params)
        end = time.perf_counter() + limit
        while True:
            at, message = self._next(end)
            if message.get("id") == number and "method" not in message:
                break
        self._send({"method": "initialized", "params": {}})
        return at

    def open(self, uri: str, text: str) -> float:
        """Open a document; return when the message was sent."""
        self._versions[uri] = 1
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        return self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def change(self, uri: str, change: Change) -> float:
        """Edit an open document; return when the message was sent."""
        self._versions[uri] += 1
        (line, column), (end_line, end_column) = change.start, change.end
        place = {
            "start": {"line": line, "character": column},
            "end": {"line": end_line, "character": end_column},
        }
        params = {
            "textDocument": {"uri": uri, "version": self._versions[uri]},
            "contentChanges": [{"range": place, "text": change.text}],
        }
        return self._send({"method": "textDocument/didChange", "params": params})

    def published(self, uri: str, wanted: Callable[[list[Json]], bool] | None, limit: float = 60) -> Published:
        """Wait for the first diagnostics of the newest version of a document of which `wanted` holds (any if None).

        From a server that names no versions, those that were sent before the edit could be taken for its answer: the
        caller chooses a `wanted` that did not hold then. Failed if none come within `limit` seconds.
        """
        end = time.perf_counter() + limit
        while True:
            at, message = self._next(end)
            if message.get("method") != "textDocument/publishDiagnostics":
                continue
            params = message["params"]
            if unquote(params["uri"]) != unquote(uri) or params.get("version", self._versions[uri]) not in (
                self._versions[uri],
                None,
            ):
                continue
            if wanted is None or wanted(params["diagnostics"]):
                return Published(at, params["diagnostics"])

    def _next(self, end: float) -> tuple[float, Json]:
        try:
            at, message = self._arrived.get(timeout=max(0.0, end - time.perf_counter()))
        except queue.Empty:
            raise Failed("no answer") from None
        if message is None:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"the server ended{': ' + lines[-1][:100] if lines else ''}")
        return at, message

    def _request(self, method: str, params: Json) -> int:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self._number

    def _send(self, message: Json) -> float:
        body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
        assert self.process.stdin is not None
        # Before it is written: on a busy machine the answer may be there before the call returns.
        at = time.perf_counter()
        try:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.process.stdin.flush()
        except OSError:
            self._arrived.put((at, None))
        return at

    def _read(self) -> None:
        assert self.process.stdout is not None
        stream = self.process.stdout
        while True:
            length = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                self._arrived.put((time.perf_counter(), None))
                return
            body = stream.read(length)
            at = time.perf_counter()
            message = json.loads(body)
            if "method" in message and "id" in message:
                self._answer(message)
            else:
                self._arrived.put((at, message))

    def _answer(self, message: Json) -> None:
        """Answer what a server asks of an editor that has no settings."""
        result: Any = None
        if message["method"] == "workspace/configuration":
            result = [None for _ in message["params"]["items"]]
        elif message["method"] == "workspace/workspaceFolders":
            result = [{"uri": self.folder.as_uri(), "name": self.folder.name}]
        self._send({"id": message["id"], "result": result})
