"""A real server in a process of its own, and a client that sends it anything and keeps what it says, for long runs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

SECONDS = 120.0
"""How long anything is waited for: a machine may be busy with much else."""

PROGRAM = """\
import json, sys
from concurrent.futures import Future
from gradls.server import server
from gradls.syntax.text import split_lines

# The real server, with requests that say what it takes a text for, where edits are applied and where it is analysed,
# and whether it has nothing to do.
make = server.Server.__init__

def with_texts(self, *arguments):
    make(self, *arguments)

    def text(call, params):
        uri = params["uri"]
        document = self.documents.get(uri)
        if self.has_configurations and document is None:
            document = self.configurations.documents.get(uri)
            call.answer(json.dumps(document and {"text": document.text, "version": document.version}))
            return
        if document is None:
            call.answer("null")
            return
        label, revision, found = document.label, document.revision, Future()

        def said(done):
            try:
                analysed = done.result()
            except Exception as error:
                analysed = repr(error)
            sound = split_lines(document.text) == document.lines
            answer = {"text": document.text, "version": document.version, "analysed": analysed, "sound": sound}
            self.loop.call(lambda: call.answer(json.dumps(answer)))

        found.add_done_callback(said)
        self.scheduler.ask(document, revision, lambda a: a.session_of(label, revision).source(label).text, found)

    def quiet(call, params):
        scheduler, names = self.scheduler, self.scheduler._names
        jobs = scheduler._chores, scheduler._waiting, scheduler._requests, scheduler._series
        work = *jobs, names._wanted, names._asking
        call.answer(json.dumps(not scheduler._busy and not any(work)))

    self.connection.calls["tests/text"] = text
    self.connection.calls["tests/quiet"] = quiet

server.Server.__init__ = with_texts
from gradls.cli.main import main
sys.exit(main(["server", *sys.argv[1:]]))
"""
SERVER = [sys.executable, "-c", PROGRAM]
MISTAKES = ("please report", "could not be handled", "Traceback", "should not")
"""What the log says when gradls has made a mistake."""


class Wire:
    """The client's end. Requests of the server are answered at once, with what `answers` has for their methods."""

    def __init__(self, to_server: IO[bytes], from_server: IO[bytes]) -> None:
        self._out, self._in = to_server, from_server
        self.answered: dict[Any, list[dict[str, Any]]] = {}
        """The answers by the ids of requests; None for what could not be read."""
        self.published: dict[str, tuple[int | None, list[Any]]] = {}
        self.publications = 0
        self.logged: list[str] = []
        self.shown: list[str] = []
        self.answers: dict[str, Any] = {}
        self.ended = False
        self.paused = threading.Event()
        self.paused.set()
        """Cleared: nothing is read."""
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def write(self, *pieces: bytes) -> None:
        """Send bytes, each piece for itself, and nothing in between."""
        with self._turn:
            for piece in pieces:
                self._out.write(piece)
                self._out.flush()

    def send(self, *messages: Any) -> None:
        """Send JSON values, all in one write."""
        self.write(b"".join(map(framed, messages)))

    def notify(self, method: str, params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, identifier: Any, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})
        return self.answer(identifier)

    def answer(self, identifier: Any) -> dict[str, Any]:
        """The first answer to a request."""
        return self.wait(lambda: self.answered.get(identifier), f"an answer to {identifier}")[0]

    def text(self, uri: str) -> Any:
        """What the server takes the text of `uri` for."""
        identifier = f"text {uri} {time.monotonic_ns()}"
        answer = self.ask(identifier, "tests/text", {"uri": uri})
        del self.answered[identifier]
        assert "result" in answer, answer
        return answer["result"]

    def settle(self) -> None:
        """Wait until the server has nothing to do and wants to know nothing."""
        until = time.monotonic() + SECONDS
        while not self.ask(f"quiet {time.monotonic_ns()}", "tests/quiet")["result"]:
            assert time.monotonic() < until, "it does not come to rest"
            time.sleep(0.02)

    def wait(self, condition: Callable[[], Any], what: str = "it") -> Any:
        """What `condition` gives, once that is true."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition() or self.ended, SECONDS), f"{what} has not come"
            found = condition()
            assert found, f"the server has ended, {what} has not come: {self.logged[-3:]}"
            return found

    def begin(self, **params: Any) -> dict[str, Any]:
        """Say hello; what the server answers."""
        answer = self.ask("begin", "initialize", {"processId": None, "rootUri": None, "capabilities": {}, **params})
        self.notify("initialized", {})
        return answer["result"]

    def open(self, uri: str, text: str, version: Any = 1) -> None:
        item = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: Any, *changes: Any) -> None:
        self.notify(
            "textDocument/didChange", {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}
        )

    def known(self, uri: str, version: int | None) -> list[Any]:
        """The diagnostics of a version, once they have come."""
        self.wait(lambda: self.published.get(uri, (0, 0))[0] == version, f"version {version} of {uri}")
        return self.published[uri][1]

    @property
    def mistakes(self) -> list[str]:
        """What the server has said of mistakes of its own."""
        return [line for line in self.logged if any(words in line for words in MISTAKES)]

    def _read(self) -> None:
        with suppress(OSError, ValueError):
            while self.paused.wait() and (header := self._in.readline()):
                length = int(header.split(b":")[1])
                while self._in.readline().strip():
                    pass
                self._receive(json.loads(self._in.read(length)))
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _receive(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params")
        with self._changed:
            if method is None:
                self.answered.setdefault(message["id"], []).append(message)
            elif method == "textDocument/publishDiagnostics":
                self.published[params["uri"]] = params.get("version"), params["diagnostics"]
                self.publications += 1
            elif method == "window/logMessage":
                self.logged.append(params["message"])
            elif method == "window/showMessage":
                self.shown.append(params["message"])
            self._changed.notify_all()
        if method is not None and "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": self.answers.get(method)}
            # Not here: who only reads when somebody else does would stand still.
            threading.Thread(target=self._reply, args=(answer,), daemon=True).start()

    def _reply(self, answer: dict[str, Any]) -> None:
        with suppress(OSError, ValueError):
            self.send(answer)


def framed(message: Any) -> bytes:
    """A message as it is sent."""
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def served(command: Sequence[str] = SERVER, **options: Any) -> Iterator[tuple[Wire, subprocess.Popen[bytes]]]:
    """A server on pipes, killed at the end if it is still there."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Wire(process.stdin, process.stdout), process
        finally:
            process.kill()
            with suppress(OSError):
                process.stdin.close()


def end(wire: Wire, process: subprocess.Popen[bytes]) -> None:
    """Part as the protocol has it."""
    assert wire.ask("shutdown", "shutdown")["result"] is None
    wire.notify("exit", None)
    assert process.wait(SECONDS) == 0
