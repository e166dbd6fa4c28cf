"""What clients get wrong costs what was wrong, and nothing else."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.lsp.clients import SECONDS, SERVER
from tests.lsp.programs import DETACHED
from tests.lsp.raw import Raw, frame, started

URI = "file:///t/train.py"
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
NOT_INITIALIZED, CANCELLED = -32002, -32800


def works(raw: Raw, version: int = 1) -> bool:
    """Whether the server still knows the text and finds the mistake in it."""
    return len(raw.published(version)["diagnostics"]) == 1


def test_malformed_messages_are_answered_with_errors():
    with started() as (raw, _):
        assert raw.request(1, "textDocument/hover", {})["error"]["code"] == NOT_INITIALIZED
        raw.begin()
        assert raw.request(2, "initialize", {"capabilities": {}})["error"]["code"] == INVALID_REQUEST
        assert raw.request(3, "textDocument/hover", {"nonsense": 1})["error"]["code"] == INVALID_PARAMS
        assert raw.request(4, "textDocument/hover")["error"]["code"] == INVALID_PARAMS
        assert raw.request("five", "textDocument/hover", [1])["error"]["code"] == INVALID_PARAMS
        assert raw.request(6, "gradls/nothing", {})["error"]["code"] == NO_METHOD
        assert raw.request(7, "$/nothing")["error"]["code"] == NO_METHOD
        raw.send({"jsonrpc": "2.0", "id": 8})
        assert raw.answer(8)["error"]["code"] == INVALID_REQUEST
        assert raw.request(9, "workspace/executeCommand", {"command": "none"})["error"]["code"] == INVALID_PARAMS
        raw.open(URI, DETACHED)
        assert works(raw)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", PARSE_ERROR),
        (b"\xff\xfe", PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b"1", INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "textDocument/hover"}', INVALID_REQUEST),
    ],
)
def test_what_is_no_message_is_answered_without_an_id(body: bytes, code: int):
    with started() as (raw, _):
        raw.begin()
        raw.write(frame(body))
        assert raw.answer(None)["error"]["code"] == code
        raw.open(URI, DETACHED)
        assert works(raw)


def test_notifications_that_make_no_sense_are_survived():
    with started() as (raw, _):
        raw.begin()
        raw.open(URI, DETACHED)
        area = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
        change = {"range": area, "text": ""}
        for params in (
            None,
            {},
            {"textDocument": {"uri": URI}},
            {"textDocument": {"uri": "file:///other.py", "version": 1}, "contentChanges": [change]},
            {"textDocument": {"uri": URI, "version": 1}, "contentChanges": [{"range": {"start": 1}, "text": ""}]},
            {"textDocument": {"uri": URI, "version": 1}, "contentChanges": ["x"]},
            {"textDocument": {"uri": URI, "version": -7}, "contentChanges": [change]},
        ):
            raw.notify("textDocument/didChange", params)
        raw.notify("textDocument/didOpen", {"textDocument": {"uri": "file:///nothing.py"}})
        raw.notify("textDocument/didClose", {"textDocument": {"uri": "file:///nothing.py"}})
        raw.notify("workspace/didChangeWatchedFiles", {"changes": 1})
        raw.notify("workspace/didChangeConfiguration", {"settings": [1]})
        raw.notify("$/cancelRequest", {"id": [1]})
        raw.notify("$/whatever", {})
        raw.send({"jsonrpc": "2.0", "id": "unknown", "result": 1}, {"jsonrpc": "2.0", "id": "unknown", "error": 1})
        raw.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 9}, "contentChanges": [change]})
        assert works(raw, 9)


def test_headers_in_any_form():
    with started() as (raw, _):
        raw.begin()
        item = {"uri": URI, "languageId": "python", "version": 1, "text": DETACHED}
        body = {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": item}}
        header = b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:%d\r\n\r\n"
        raw.write(b"garbage\r\n" + frame(json.dumps(body).encode(), header))
        assert works(raw)


def test_a_request_that_is_cancelled_at_once_is_not_begun():
    with started() as (raw, _):
        raw.begin()
        raw.open(URI, DETACHED)
        assert works(raw)
        params = {"textDocument": {"uri": URI}, "position": {"line": 5, "character": 8}}
        hovers = [{"jsonrpc": "2.0", "id": n, "method": "textDocument/hover", "params": params} for n in range(10, 20)]
        cancels = [{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": n}} for n in range(10, 20)]
        raw.send(*hovers, *cancels)
        answers = [raw.answer(n) for n in range(10, 20)]
        assert CANCELLED in [answer.get("error", {}).get("code") for answer in answers]
        assert raw.request(20, "textDocument/hover", params)["result"] is not None


def test_shutdown_and_exit():
    with started() as (raw, process):
        raw.begin()
        assert raw.request(1, "shutdown")["result"] is None
        assert raw.request(2, "textDocument/hover", {})["error"]["code"] == INVALID_REQUEST
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 0


def test_exit_without_shutdown_is_a_failure():
    with started() as (raw, process):
        raw.begin()
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 1


@pytest.mark.parametrize("busy", [False, True])
def test_the_server_ends_when_the_client_vanishes(busy: bool):
    with started() as (raw, process):
        raw.begin()
        raw.open(URI, DETACHED * (2000 if busy else 1))
        if not busy:
            assert works(raw)
        process.stdin.close()
        assert process.wait(SECONDS) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there the pipes close with the client")
def test_the_server_ends_when_the_client_is_killed_but_the_pipe_stays_open():
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as editor, started() as (raw, process):
        raw.begin(processId=editor.pid)
        raw.open(URI, DETACHED)
        assert works(raw)
        time.sleep(3)
        assert process.poll() is None
        editor.send_signal(signal.SIGKILL)
        editor.wait()
        process.wait(SECONDS)


def test_prints_of_others_do_not_reach_the_client():
    """Code that prints, or starts a program that does, must not get in between the messages."""
    program = (
        "import os, sys; from gradls.server.features import Features; old = Features._hover\n"
        "async def hover(self, params):\n"
        "    print('print'); os.system('echo echo'); os.write(1, b'write'); return await old(self, params)\n"
        "Features._hover = hover\n"
        "from gradls.server.main import serve; sys.exit(serve())"
    )
    with started([sys.executable, "-c", program], stderr=subprocess.PIPE) as (raw, process):
        raw.begin()
        raw.open(URI, DETACHED)
        params = {"textDocument": {"uri": URI}, "position": {"line": 5, "character": 8}}
        assert "detach" in raw.request(1, "textDocument/hover", params)["result"]["contents"]["value"]
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 1
        printed = process.stderr.read().decode()
        assert all(word in printed for word in ("print", "echo", "write"))


def test_over_a_socket():
    arguments = [*SERVER, "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            port = int(re.search(rb":(\d+)", process.stderr.readline())[1])
            with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
                raw = Raw(connection.makefile("wb"), connection.makefile("rb"))
                raw.begin()
                raw.open(URI, DETACHED)
                assert works(raw)
                assert raw.request(1, "shutdown")["result"] is None
                raw.notify("exit", None)
                assert process.wait(SECONDS) == 0
        finally:
            process.kill()
