"""The process that looks at closed files: it can end at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradls.server.documents import uri_of
from gradls.server.scanner import Scanner
from gradls.server.settings import Abilities, Client, Settings
from tests.lsp.programs import DETACHED
from tests.lsp.test_project import LOST, NET, TRAIN

SECONDS = 120


class Asking:
    """Asks a scanner and waits."""

    def __init__(self, folder: Path) -> None:
        self.scanner = Scanner(lambda function: function())
        self.scanner.restart([folder], Settings(), Client("utf-16", Abilities(), uri_of))

    def ask(self, **request: Any) -> dict[str, Any] | None:
        done = threading.Event()
        replies: list[dict[str, Any] | None] = []
        self.scanner.ask(request, lambda reply: (replies.append(reply), done.set()))  # type: ignore[arg-type, return-value]
        assert done.wait(SECONDS)
        return replies[0]

    def finds(self, path: Path, **request: Any) -> bool:
        reply = self.ask(check=str(path), **request)
        assert reply is not None
        return "GRD101" in reply["diagnostics"]

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self.scanner._process is not None
        return self.scanner._process


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "lost.py").write_text(DETACHED)
    asking = Asking(tmp_path)
    yield asking
    asking.scanner.close()


def test_what_is_found(asking: Asking, tmp_path: Path):
    assert asking.finds(tmp_path / "lost.py")
    assert not asking.finds(tmp_path / "train.py")
    assert not asking.finds(tmp_path / "nowhere.py")
    listing = asking.ask(listing=True)
    assert listing is not None
    assert [path for path, *_ in listing["files"]] == [
        str(tmp_path / name) for name in ("lost.py", "net.py", "train.py")
    ]
    assert asking.ask(listing=False) == {"files": None, "leaves": False}


def test_a_process_that_ended_is_followed_by_another_that_knows_what_is_typed(asking: Asking, tmp_path: Path):
    assert asking.finds(tmp_path / "train.py", texts={str(tmp_path / "net.py"): LOST})
    first = asking.process
    first.kill()
    first.wait()
    assert asking.finds(tmp_path / "train.py")
    assert asking.process is not first
    assert not asking.finds(tmp_path / "train.py", texts={str(tmp_path / "net.py"): None})


class Killing:
    """The output of a process that is killed when somebody waits for it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._kill, self._stream = process.kill, process.stdout
        self.close = process.stdout.close

    def readline(self) -> bytes:
        self._kill()
        return self._stream.readline()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not stopped there")
def test_a_process_that_ends_over_a_file_costs_that_file(asking: Asking, tmp_path: Path):
    assert asking.finds(tmp_path / "lost.py")
    os.kill(asking.process.pid, signal.SIGSTOP)
    asking.process.stdout = Killing(asking.process)  # type: ignore[assignment]
    assert asking.ask(check=str(tmp_path / "lost.py")) is None
    assert asking.finds(tmp_path / "lost.py")


def test_after_the_end_nothing_is_left(asking: Asking, tmp_path: Path):
    assert asking.finds(tmp_path / "lost.py")
    process = asking.process
    asking.scanner.close()
    assert process.wait(SECONDS) != 0
    assert asking.ask(check=str(tmp_path / "lost.py")) is None


@pytest.mark.skipif(sys.platform == "win32", reason="the program says which process it has started")
def test_it_ends_with_the_server_however_that_ends(tmp_path: Path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.server.test_scanner import Asking\n"
        "asking = Asking(Path(sys.argv[1]))\nasking.ask(listing=True)\n"
        "print(asking.process.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    for _ in range(SECONDS * 10):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.1)
    raise AssertionError("it is still there")
