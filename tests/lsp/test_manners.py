"""What a client is told about the server, and what it has not to be told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from gradls import __version__
from tests.lsp.clients import SECONDS, Client
from tests.lsp.programs import DETACHED
from tests.lsp.raw import Raw, started
from tests.lsp.test_names import uri_of
from tests.lsp.test_project import CODE, LOST, NET, TRAIN

URI = "file:///t/train.py"
NOT_INITIALIZED, INVALID_REQUEST = -32002, -32600


def told(raw: Raw, method: str, words: str) -> dict[str, Any]:
    """Wait for a message whose text has these words."""
    return raw.wait_for(lambda m: m.get("method") == method and words in m["params"]["message"])["params"]


def test_the_log_says_what_was_found(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\n")
    with started(stderr=subprocess.PIPE) as (raw, process):
        raw.begin(rootUri=tmp_path.as_uri())
        first = told(raw, "window/logMessage", f"gradls {__version__}")
        assert first["type"] == types.MessageType.Info
        assert sys.executable in first["message"]
        assert str(tmp_path) in first["message"]
        raw.open((tmp_path / "train.py").as_uri(), DETACHED)
        told(raw, "window/logMessage", str(tmp_path / "pyproject.toml"))
        raw.request(1, "shutdown")
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 0
        # Editors show what comes there as errors.
        assert process.stderr.read() == b""


def test_the_log_says_where_names_are_looked_up(tmp_path: Path):
    packages = tmp_path / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    (packages / "common.py").write_text("from torch import nn as nn\n")
    with started() as (raw, _):
        raw.begin(rootUri=tmp_path.as_uri())
        raw.open((tmp_path / "train.py").as_uri(), "from common import nn\nm = nn.Linear(3, 1)\n")
        told(raw, "window/logMessage", str(tmp_path / ".venv"))


@pytest.mark.parametrize("value", ["off", "messages", "verbose"])
def test_the_trace(value: str):
    """From the start or from later on, as much as is wanted."""
    with started() as (raw, _):
        raw.begin(trace=value)
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.notify("$/setTrace", {"value": "messages"})
        change = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": "import torch\n"}]}
        raw.notify("textDocument/didChange", change)
        told(raw, "$/logTrace", "version 2")
        raw.notify("$/setTrace", {"value": ["nonsense"]})
        traces = [m["params"] for m in raw.seen if m.get("method") == "$/logTrace"]
        first = [trace for trace in traces if "version 1" in trace["message"]]
        assert len(first) == (value != "off")
        assert all(("verbose" in trace) == (value == "verbose") for trace in first)


@pytest.mark.parametrize("change", ["written", "removed", "made"])
async def test_without_a_watcher_other_files_count_after_the_next_save(client: Client, tmp_path: Path, change: str):
    net = tmp_path / "net.py"
    if change != "made":
        net.write_text(LOST if change == "removed" else NET)
    await client.begin("plain", folder=tmp_path)
    train = uri_of(tmp_path / "train.py")
    client.open(train, TRAIN)
    assert len(await client.diagnostics_of(train)) == (change == "removed")
    if change == "removed":
        net.unlink()
    else:
        net.write_text(LOST)
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(train)))
    found = await client.diagnostics_of(train, 0 if change == "removed" else 1)
    assert all(each.code == CODE for each in found)


def test_nothing_but_what_the_client_can_is_asked_of_it():
    """A client that offers nothing gets diagnostics and log messages, and is asked nothing."""
    with started() as (raw, _):
        raw.request("begin", "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        raw.notify("initialized", {})
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.notify("workspace/didChangeConfiguration", {"settings": {"gradls": {"config": {"ignore": ["ALL"]}}}})
        raw.wait_for(lambda m: m.get("params", {}).get("diagnostics") == [])
        assert {message.get("method") for message in raw.seen} == {
            None,
            "textDocument/publishDiagnostics",
            "window/logMessage",
        }


def test_before_initialize_and_after_shutdown():
    with started() as (raw, process):
        raw.notify("textDocument/didOpen", {"textDocument": {"uri": URI, "text": DETACHED}})
        raw.notify("$/setTrace", {"value": "verbose"})
        for method in ("textDocument/diagnostic", "workspace/diagnostic", "shutdown"):
            assert raw.request(method, method, {})["error"]["code"] == NOT_INITIALIZED
        raw.begin()
        raw.open(URI, DETACHED)
        raw.published(1)
        raw.request(1, "shutdown")
        for method in ("textDocument/diagnostic", "workspace/diagnostic", "shutdown", "initialize"):
            assert raw.request(f"late {method}", method, {})["error"]["code"] == INVALID_REQUEST
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 0


def test_exit_before_initialize():
    with started() as (raw, process):
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 1
