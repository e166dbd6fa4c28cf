"""A language server as other Python servers are: one diagnostic on the first line, and nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any


def receive() -> dict[str, Any] | None:
    length = 0
    for line in iter(sys.stdin.buffer.readline, b"\r\n"):
        if not line:
            return None
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    message: dict[str, Any] = json.loads(sys.stdin.buffer.read(length))
    return message


def send(message: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    sys.stdout.buffer.flush()


def main() -> None:
    while (message := receive()) is not None:
        method = message.get("method")
        if method == "exit":
            return
        if method == "initialize":
            send({"id": message["id"], "result": {"capabilities": {"textDocumentSync": 1}}})
        elif method and "id" in message:
            send({"id": message["id"], "result": None})
        elif method == "textDocument/didOpen":
            area = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 6}}
            found = {"range": area, "severity": 2, "source": "other", "message": "said by another server"}
            uri = message["params"]["textDocument"]["uri"]
            send({"method": "textDocument/publishDiagnostics", "params": {"uri": uri, "diagnostics": [found]}})


main()
