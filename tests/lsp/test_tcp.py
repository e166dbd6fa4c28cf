"""`gradls server --tcp`: for this machine only."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.lsp.clients import SECONDS, SERVER
from tests.lsp.raw import Raw, frame


@contextmanager
def listening(address: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """A server, its port, and what it says first."""
    arguments = [*SERVER, "--tcp", address]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline().decode()
            found = re.search(r":(\d+);", said)
            assert found, said
            yield process, int(found[1]), said
        finally:
            process.kill()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "no such host:0"])
def test_it_does_not_listen_to_other_machines(address: str):
    command = [*SERVER, "--tcp", address]
    run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert run.returncode == 2
    assert run.stderr.startswith("gradls: ")
    assert "listening" not in run.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", ":0"])
def test_it_warns(address: str):
    with listening(address) as (process, port, said):
        assert "whoever on this machine connects first" in said
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            raw = Raw(connection.makefile("wb"), connection.makefile("rb"))
            raw.begin()
            assert raw.request(1, "shutdown")["result"] is None
            raw.notify("exit", None)
            assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("method", [b"POST", b"GET", b"PUT", b"OPTIONS"])
def test_a_page_in_a_browser_is_no_client(method: bytes):
    """It can send any body to a port of this machine."""
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": null}}'
    with listening() as (process, port, _):
        with socket.create_connection(("127.0.0.1", port), SECONDS) as page:
            page.sendall(method + b" / HTTP/1.1\r\nHost: localhost\r\n" + frame(body))
            with suppress(ConnectionResetError):
                assert page.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            raw = Raw(connection.makefile("wb"), connection.makefile("rb"))
            raw.begin()
            assert raw.request(2, "shutdown")["result"] is None
            raw.notify("exit", None)
            assert process.wait(SECONDS) == 0
