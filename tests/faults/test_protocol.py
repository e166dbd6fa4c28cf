"""What clients get wrong, and what they do to a server without knowing, costs what was wrong and nothing else."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.server import main
from gradls.server.loop import Loop
from gradls.server.server import Server
from gradls.server.transport import LONGEST_HEADER, Unframed, Unparseable, Writer
from tests.faults.protocol import BAD_FRAMES, JUNK, conversation
from tests.faults.texts import applied
from tests.faults.wire import SECONDS, SERVER, Wire, end, framed, served
from tests.lsp.clients import VSCODE
from tests.lsp.programs import DETACHED
from tests.resolve.conftest import alive, children, wait_until

URI = "file:///t/train.py"
PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, CANCELLED = -32700, -32600, -32602, -32800
AT = {"textDocument": {"uri": URI}, "position": {"line": 5, "character": 8}}
TOP = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_messages_in_any_order(seed: int):
    done = conversation(seed, 150)
    assert done["answered"]
    assert done["refused"]


@given(st.randoms(use_true_random=False))
def test_what_is_no_message_costs_no_other(chance: random.Random):
    pieces, wanted = [], []
    for number in range(6):
        pieces += [chance.choice(BAD_FRAMES) for _ in range(chance.choice([0, 0, 1, 2, 3]))]
        wanted.append({"number": number, "long": "x" * chance.choice([0, 10, 400, 5000])})
        pieces.append(framed(wanted[-1]))
    data, read, found = b"".join(pieces), Unframed(), []
    while data:
        size = chance.choice([1, 3, 10, 50, 1000, 20_000])
        found += list(read.feed(data[:size]))
        data = data[size:]
    assert [each for each in found if isinstance(each, dict) and "number" in each] == wanted


def test_bytes_without_an_end_are_not_kept():
    read = Unframed()
    for _ in range(100):
        assert not list(read.feed(b"x" * 100_000))
    assert len(read._data) <= LONGEST_HEADER + 100_000
    assert list(read.feed(framed({"a": 1}))) == [{"a": 1}]


@pytest.mark.parametrize(
    "header", [b"Content-Type: x", b"Content-Length: -1", b"Content-Length: x", b"Content-Length:"]
)
def test_a_header_that_says_no_length(header: bytes):
    read = Unframed()
    (said,) = read.feed(header + b"\r\n\r\n")
    assert isinstance(said, Unparseable)


@given(st.randoms(use_true_random=False))
def test_parameters_of_initialize_that_make_no_sense(chance: random.Random):
    """They are refused or left out, and the client is served."""
    params: dict[str, Any] = {
        "processId": 1,
        "rootUri": "file:///t",
        "capabilities": VSCODE,
        "initializationOptions": {"trusted": False, "config": {"ignore": ["GRD101"]}, "python": "x", "hints": "all"},
        "workspaceFolders": [{"uri": "file:///t", "name": "t"}],
        "trace": "off",
    }
    for _ in range(chance.randrange(1, 6)):
        params = spoiled(params, chance)
    said = io.BytesIO()
    server = Server(Loop(), Writer(said, lambda: None))
    server.connection.receive([{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}])
    answer = json.loads(said.getvalue().partition(b"\r\n\r\n")[2])
    assert "result" in answer or answer["error"]["code"] == INVALID_PARAMS, (params, answer)


def spoiled(value: Any, chance: random.Random) -> Any:
    """`value` with junk somewhere in it, not always in the place of all of it."""
    if not value or not isinstance(value, (dict, list)):
        return chance.choice(JUNK)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = chance.choice(keys)
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = chance.choice(JUNK) if chance.random() < 0.3 else spoiled(value[key], chance)
    return changed


def test_opened_twice_closed_twice_and_edited_in_between():
    with served() as (wire, process):
        wire.begin()
        wire.change(URI, 1, {"text": "not open"})
        wire.open(URI, "first\n")
        wire.open(URI, DETACHED, 5)
        wire.change(URI, 5, {"range": TOP, "text": "# repeated\n"})
        wire.change(URI, 900, {"range": TOP, "text": "# jumped\n"})
        wire.change(URI, 2, {"range": TOP, "text": "# went back\n"})
        text = "# went back\n# jumped\n# repeated\n" + DETACHED
        assert wire.text(URI) == {"text": text, "version": 2, "analysed": text, "sound": True}
        assert len(wire.known(URI, 2)) == 1
        for _ in range(2):
            wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        wire.change(URI, 3, {"text": "closed"})
        assert wire.text(URI) is None
        wire.open(URI, DETACHED, 1)
        assert len(wire.known(URI, 1)) == 1
        assert not wire.mistakes
        end(wire, process)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_ranges_within_characters_and_outside_of_the_text(encoding: str):
    text = "x = '😀é'\r\ny\rz = 1\n"
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 40, 2**31 - 1]
    ends = [{"line": line, "character": character} for line in (0, 1, 2, 3, 4, 2**31 - 1) for character in numbers]
    with served() as (wire, process):
        wire.begin(capabilities={"general": {"positionEncodings": [encoding]}})
        wire.open(URI, text)
        chance, version = random.Random(1), 1
        for start in ends:
            version += 1
            change = {
                "range": {"start": start, "end": chance.choice(ends)},
                "text": chance.choice(["", "😀", "é\n", "\r"]),
            }
            reset = {"text": text}
            wire.change(URI, version, reset, change)
            assert wire.text(URI)["text"] == applied(text, [change], encoding), change
        end(wire, process)


def test_a_long_message_and_a_flood_of_edits():
    """Of 3,000 edits that come faster than they can be analysed the last one counts, and all are in the text."""
    long = DETACHED + "# a comment of some length\n" * 40_000
    with served() as (wire, process):
        wire.begin()
        wire.open(URI, long)
        for version in range(2, 3002):
            wire.change(URI, version, {"range": TOP, "text": f"# {version}\n"})
        found = wire.known(URI, 3001)
        assert found[0]["range"]["start"]["line"] == 3000 + 5
        text = "".join(f"# {version}\n" for version in range(3001, 1, -1)) + long
        assert wire.text(URI)["analysed"] == text
        assert wire.publications < 3000
        end(wire, process)


def test_many_files_and_questions_that_are_cancelled():
    with served() as (wire, process):
        wire.begin()
        uris = [f"file:///t/m{number}.py" for number in range(200)]
        for number, uri in enumerate(uris):
            wire.open(uri, DETACHED + f"# {number}\n")
        for uri in uris:
            assert len(wire.known(uri, 1)) == 1
        numbers = range(1, 101)
        for number in numbers:
            params = {**AT, "textDocument": {"uri": uris[number]}}
            wire.send({"jsonrpc": "2.0", "id": number, "method": "textDocument/hover", "params": params})
        for number in numbers:
            wire.notify("$/cancelRequest", {"id": number})
        for number in numbers:
            answer = wire.answer(number)
            assert "result" in answer or answer["error"]["code"] == CANCELLED
        assert wire.text(uris[7])["analysed"] == DETACHED + "# 7\n"
        assert all(len(answers) == 1 for answers in wire.answered.values())
        end(wire, process)


# -- clients that do not read


def test_a_client_that_stops_reading_finds_all_answers_when_it_goes_on():
    """It sends much more than pipes hold answers to."""
    with served() as (wire, process):
        wire.begin()
        wire.open(URI, DETACHED)
        wire.known(URI, 1)
        wire.paused.clear()
        assert "result" in wire.ask("last read", "textDocument/hover", AT)
        for number in range(2000):
            wire.send({"jsonrpc": "2.0", "id": number, "method": "textDocument/hover", "params": AT})
            wire.change(URI, number + 2, {"range": TOP, "text": ""})
        wire.paused.set()
        for number in range(2000):
            answer = wire.answer(number)
            assert "result" in answer or answer["error"]["code"] == -32801
        assert len(wire.known(URI, 2001)) == 1
        end(wire, process)


def test_what_is_read_from_a_client_that_does_not_read_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(main, "MOST_UNANSWERED", 1 << 20)

    class Stuck:
        """Somebody writes, until `go`."""

        is_writing = True
        waits, go = threading.Event(), threading.Event()

        def wait(self) -> None:
            self.waits.set()
            self.go.wait(SECONDS)

    class Endless(io.RawIOBase):
        """Messages without an end, until somebody says so."""

        given, ends = 0, False

        def read1(self, size: int) -> bytes:
            self.given += size
            return b"" if self.ends else framed({"text": "x" * size})

    writer, stream, ended = Stuck(), Endless(), threading.Event()
    server = Server(Loop(), Writer(io.BytesIO(), lambda: None))
    server.writer = writer  # type: ignore[assignment]
    threading.Thread(target=main._read, args=(stream, server, ended.set), daemon=True).start()
    assert writer.waits.wait(SECONDS)
    assert stream.given <= (1 << 20) + (1 << 17)
    stream.ends = True
    writer.go.set()
    assert ended.wait(SECONDS)


def test_nobody_reads_the_errors():
    """More are written than a pipe holds."""
    with served(stderr=subprocess.PIPE) as (wire, process):
        wire.begin()
        for _ in range(3000):
            wire.change("file:///t/nowhere.py", 1, {"text": ""})
        wire.open(URI, DETACHED)
        assert len(wire.known(URI, 1)) == 1
        assert sum("not open" in line for line in wire.logged) == 3000
        end(wire, process)
        assert process.stderr is not None
        assert len(process.stderr.read()) < 1 << 16


# -- clients that vanish


@pytest.fixture
def gone_soon() -> list[str]:
    """A server that does not give a client that has vanished ten seconds."""
    return [sys.executable, "-c", "from gradls.server import main\nmain.SECONDS_TO_END = 0.1\n" + SERVER[2]]


@pytest.mark.skipif(sys.platform == "win32", reason="looks at processes")
@pytest.mark.parametrize("way", ["stdin", "exit", "unread", "killed"])
def test_nothing_is_left_behind(way: str, tmp_path: Path, gone_soon: list[str]):
    """Neither the server nor what it has started: who looks at closed files, and who looks up names."""
    packages = tmp_path / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    (packages / "common.py").write_text("from torch import nn as nn\n")
    (tmp_path / "closed.py").write_text(DETACHED)
    uri = (tmp_path / "open.py").as_uri()
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with served(gone_soon if way == "unread" else SERVER, env=environment) as (wire, process):
        wire.begin(rootUri=tmp_path.as_uri(), capabilities={"textDocument": {"diagnostic": {}}})
        wire.open(uri, "from common import nn\nm = nn.Linear(3, 1)\n")
        assert wire.ask(1, "workspace/diagnostic", {"previousResultIds": []})["result"]["items"]
        assert wait_until(lambda: len(family(process.pid)) >= 3)
        started = family(process.pid)
        if way == "exit":
            wire.notify("exit", None)
        elif way == "killed":
            process.kill()
        else:
            if way == "unread":
                # The server waits for somebody who reads.
                wire.paused.clear()
                for number in range(2000):
                    wire.send({"jsonrpc": "2.0", "id": f"x{number}", "method": "y" * 1000, "params": None})
            assert process.stdin is not None
            process.stdin.close()
        assert process.wait(SECONDS) == (-signal.SIGKILL if way == "killed" else 1)
        wire.paused.set()
        assert wait_until(lambda: not any(map(alive, started)), SECONDS)


def family(process: int) -> list[int]:
    """The processes that a process and those have started."""
    found = children(process)
    return [*found, *(each for child in found for each in family(child))]


@pytest.mark.parametrize("way", ["properly", "rudely"])
def test_a_client_on_a_socket(way: str):
    with listening() as (connection, process):
        wire = Wire(connection.makefile("wb"), connection.makefile("rb"))
        wire.begin()
        for bad in BAD_FRAMES:
            wire.write(bad)
        wire.open(URI, DETACHED)
        wire.change(URI, 2, {"range": TOP, "text": "# 😀\n"})
        assert wire.text(URI)["analysed"] == "# 😀\n" + DETACHED
        assert len(wire.known(URI, 2)) == 1
        assert {each["error"]["code"] for each in wire.answered[None]} == {PARSE_ERROR, INVALID_REQUEST}
        if way == "properly":
            end(wire, process)
        else:
            connection.shutdown(socket.SHUT_RDWR)
            assert process.wait(SECONDS) == 1


class listening:
    """A server that listens, and a connection to it."""

    def __enter__(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        arguments = [*SERVER, "--tcp", "127.0.0.1:0"]
        self._process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._process.stderr is not None
        port = re.search(rb":(\d+)", self._process.stderr.readline())
        assert port is not None
        self._connection = socket.create_connection(("127.0.0.1", int(port[1])), SECONDS)
        return self._connection, self._process

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._connection.close()
