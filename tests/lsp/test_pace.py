"""What is done of what the client asks for, and what is not, when it asks for more than can be done at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lsp.clients import SECONDS
from tests.lsp.programs import DETACHED
from tests.lsp.raw import Raw, started

URI = "file:///t/train.py"
CANCELLED, CONTENT_MODIFIED = -32800, -32801
SUBJECT = {"textDocument": {"uri": URI}}
POSITION = {"line": 5, "character": 8}
AREA = {"start": POSITION, "end": POSITION}
HOVER = {**SUBJECT, "position": POSITION}
ACTIONS = {**SUBJECT, "range": AREA, "context": {"diagnostics": []}}
ABILITIES = {
    "textDocument": {
        "codeAction": {
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit"]},
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix"]}},
        }
    },
    "workspace": {"applyEdit": True},
}
# A server whose analyses of version 2 wait until a file is there.
PROGRAM = """\
import pathlib, sys, time
from gradls.server.analysis import Analyst
analyse = Analyst.analyse
def held_up(self, snapshot, *rest):
    while snapshot.version == 2 and not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return analyse(self, snapshot, *rest)
Analyst.analyse = held_up
from gradls.cli.main import main
sys.exit(main(["server"]))
"""


def change(version: int, text: str = "#", uri: str = URI) -> dict[str, Any]:
    """A message that puts `text` before everything else."""
    start = {"line": 0, "character": 0}
    changes = [{"range": {"start": start, "end": start}, "text": text}]
    params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}
    return {"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params}


def request(identifier: int, method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def cancel(identifier: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": identifier}}


def test_of_edits_that_come_together_only_the_last_is_analysed():
    with started() as (raw, _):
        raw.begin()
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.send(*[change(version, "# typed\n") for version in range(2, 60)])
        assert raw.published(59)["diagnostics"][0]["range"]["start"]["line"] == 58 + 5
        assert raw.versions() == [1, 59]


def test_a_request_about_a_text_that_is_no_more_is_refused():
    with started() as (raw, _):
        raw.begin(capabilities=ABILITIES)
        raw.open(URI, DETACHED)
        raw.published(1)
        (action, *_) = raw.request(1, "textDocument/codeAction", ACTIONS)["result"]
        messages = [
            request(2, "textDocument/hover", HOVER),
            request(3, "textDocument/codeAction", ACTIONS),
            change(2, "\n"),
            request(4, "codeAction/resolve", action),
            request(5, "workspace/executeCommand", {"command": "gradls.applyEdit", "arguments": [action["data"]]}),
        ]
        raw.send(*messages)
        for identifier in (2, 3, 4, 5):
            assert raw.answer(identifier)["error"]["code"] == CONTENT_MODIFIED
        assert raw.request(6, "textDocument/hover", {**SUBJECT, "position": {"line": 6, "character": 8}})["result"]


def test_requests_that_wait_can_be_cancelled(tmp_path: Path):
    with started([sys.executable, "-c", PROGRAM, str(tmp_path / "go")]) as (raw, _):
        raw.begin(capabilities=ABILITIES)
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.send(change(2))
        raw.open("file:///t/other.py", DETACHED)
        data = raw_choice(raw)
        messages = [
            request(1, "textDocument/hover", HOVER),
            request(2, "textDocument/codeAction", ACTIONS),
            request(3, "codeAction/resolve", {"title": "", "data": data}),
            request(4, "workspace/executeCommand", {"command": "gradls.applyEdit", "arguments": [data]}),
            request(5, "textDocument/hover", HOVER),
        ]
        raw.send(*messages)
        for identifier in (4, 3, 2, 1):
            raw.send(cancel(identifier))
            assert raw.answer(identifier)["error"]["code"] == CANCELLED
        (tmp_path / "go").touch()
        assert "result" in raw.answer(5)
        assert len(raw.published(2)["diagnostics"]) == 1


def raw_choice(raw: Raw) -> dict[str, Any]:
    """What an action would bring along; the revision is never reached."""
    return {"does": "mend", "uri": URI, "revision": 10**9, "code": "GRD101", "span": [6, 1, 6, 2], "fix": 0}


def test_a_client_that_leaves_does_not_wait(tmp_path: Path):
    with started([sys.executable, "-c", PROGRAM, str(tmp_path / "go")]) as (raw, process):
        raw.begin()
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.send(change(2), request(1, "textDocument/hover", HOVER))
        assert raw.request(2, "shutdown")["result"] is None
        assert raw.answer(1)["error"]["code"] == CANCELLED
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("count", [300])
def test_an_edit_among_many_files_that_change(tmp_path: Path, count: int):
    uri = (tmp_path / "train.py").as_uri()
    for number in range(count):
        (tmp_path / f"m{number}.py").write_text(f"x = {number}\n", encoding="utf-8")
    with started() as (raw, _):
        raw.begin(rootUri=tmp_path.as_uri())
        raw.open(uri, DETACHED)
        raw.published(1)
        changes = [{"uri": (tmp_path / f"m{number}.py").as_uri(), "type": 2} for number in range(count)]
        watched = {"jsonrpc": "2.0", "method": "workspace/didChangeWatchedFiles", "params": {"changes": changes}}
        raw.send(watched, change(2, "\n", uri), watched, change(3, "\n", uri), watched)
        assert len(raw.published(3)["diagnostics"]) == 1


# A server that says on stderr, for each collection of garbage, how many analyses are under way.
COLLECTING = """\
import gc, sys
from gradls.server import garbage
from gradls.server.analysis import Analyst
garbage.MANY = garbage.SOME = 50
running = []
analyse = Analyst.analyse
def watched(self, snapshot, *rest):
    running.append(snapshot)
    try:
        return analyse(self, snapshot, *rest)
    finally:
        running.pop()
Analyst.analyse = watched
gc.callbacks.append(lambda phase, about: phase == "start" and print(len(running), file=sys.stderr, flush=True))
from gradls.cli.main import main
sys.exit(main(["server"]))
"""


def test_garbage_is_collected_while_nothing_is_analysed():
    with started([sys.executable, "-c", COLLECTING], stderr=subprocess.PIPE) as (raw, process):
        raw.begin()
        raw.open(URI, DETACHED)
        raw.published(1)
        for version in range(2, 60):
            raw.send(change(version, f"x{version} = 1\n"))
            raw.published(version)
        raw.notify("exit", None)
        collections = process.stderr.read().decode().split()
        assert len(collections) > 10
        assert set(collections) == {"0"}
