"""Edit to diagnostics over the Language Server Protocol: gradls beside `ruff server`, in one run.

    python -m benchmarks.edits FILE [--edits N]

A line is typed into the file and taken out again, one change each; what is measured is the time from the change to the
diagnostics of that version.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SERVERS = {
    "gradls": [sys.executable, "-m", "gradls", "server"],
    "ruff": [sys.executable, "-m", "ruff", "server"],
}
TYPED = "import torch as measured_torch\n"


class Server:
    """A language server on stdio, spoken to one message at a time."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.number = 0

    def send(self, method: str, params: Any, *, request: bool = False) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if request:
            self.number += 1
            message["id"] = self.number
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return dict(json.loads(self.process.stdout.read(length)))

    def diagnostics_of(self, version: int) -> None:
        """Wait for the diagnostics of a version of the text."""
        while True:
            message = self.receive()
            if "id" in message and "method" in message:
                self.answer(message["id"])
            published = message.get("method") == "textDocument/publishDiagnostics"
            if published and message["params"].get("version") in (None, version):
                return

    def answer(self, number: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": number, "result": None}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()


def measure(command: list[str], path: Path, edits: int) -> tuple[float, list[float]]:
    """Milliseconds from the start to the first diagnostics, and from each edit to its own."""
    text = path.read_text(encoding="utf-8")
    uri = path.resolve().as_uri()
    capabilities = {"textDocument": {"publishDiagnostics": {"versionSupport": True}}}
    start = time.perf_counter()
    server = Server(command)
    server.send("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities}, request=True)
    while "id" not in server.receive():
        pass
    server.send("initialized", {})
    document = {"uri": uri, "languageId": "python", "version": 0, "text": text}
    server.send("textDocument/didOpen", {"textDocument": document})
    server.diagnostics_of(0)
    first = (time.perf_counter() - start) * 1000
    taken = []
    for version in range(1, edits + 1):
        inserting = version % 2 == 1
        place = {"start": {"line": 0, "character": 0}, "end": {"line": 0 if inserting else 1, "character": 0}}
        change = {"range": place, "text": TYPED if inserting else ""}
        start = time.perf_counter()
        server.send(
            "textDocument/didChange",
            {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]},
        )
        server.diagnostics_of(version)
        taken.append((time.perf_counter() - start) * 1000)
        time.sleep(0.05)
    server.process.kill()
    server.process.wait()
    return first, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--edits", type=int, default=30)
    options = parser.parse_args()
    medians = {}
    for name, command in SERVERS.items():
        first, taken = measure(command, options.file, options.edits)
        medians[name] = statistics.median(taken)
        p95 = sorted(taken)[int(len(taken) * 0.95)]
        print(f"{name:8} first {first:7.0f} ms   edit p50 {medians[name]:7.1f} ms   p95 {p95:7.1f} ms")
    print(f"gradls takes {medians['gradls'] / medians['ruff']:.1f} times as long as ruff")


if __name__ == "__main__":
    main()
