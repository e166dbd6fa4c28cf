"""What the messages leave behind, and what pygls would say."""

import asyncio
import io
import json

import pytest
from lsprotocol.converters import get_converter

from gradls.server.capabilities import initialize_result
from gradls.server.features import Features
from gradls.server.loop import Loop
from gradls.server.requests import NOTIFICATIONS
from gradls.server.server import Server
from gradls.server.settings import Abilities, encoding_of
from gradls.server.transport import Writer
from tests.lsp.clients import HELIX, PRESETS, VSCODE

SAVE = {"jsonrpc": "2.0", "method": "textDocument/didSave", "params": {"textDocument": {"uri": "file:///a.py"}}}
TRACE = {"jsonrpc": "2.0", "method": "$/setTrace", "params": {"value": "off"}}


def server_for(capabilities: dict) -> Server:
    server = Server(Loop(), Writer(io.BytesIO(), lambda: None))
    server.connection.receive(
        [{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": capabilities}}]
    )
    return server


async def test_notifications_leave_nothing():
    features = Features(server_for({}))
    for message in [SAVE, TRACE] * 50:
        features.receive(message, None)
    for _ in range(1000):
        if not features.protocol._request_futures:
            break
        await asyncio.sleep(0.01)
    assert not features.protocol._request_futures


@pytest.mark.parametrize("preset", PRESETS)
async def test_the_answer_to_initialize_is_what_pygls_would_say(preset: str):
    """It is given before pygls is there."""
    capabilities = get_converter().unstructure(PRESETS[preset]())
    features = Features(server_for(capabilities))
    found = get_converter().unstructure(features.protocol.server_capabilities)
    sync = found["textDocumentSync"]
    # What is done without pygls.
    found["positionEncoding"] = encoding_of(capabilities)
    found["textDocumentSync"] = {name: sync[name] for name in ("openClose", "change", "save")}
    # Empty: about renaming files and the like.
    del found["workspace"]["fileOperations"]
    said = initialize_result(Abilities.of(capabilities), encoding_of(capabilities))["capabilities"]
    notebooks = said.pop("notebookDocumentSync", None)
    assert (notebooks is not None) == (preset in ("vscode", "older"))
    pulled = said.pop("diagnosticProvider", None)
    assert (pulled is not None) == (preset in ("vscode", "neovim", "helix"))
    assert json.loads(json.dumps(said)) == found


async def test_the_notifications_that_pygls_handles_get_there():
    features = Features(server_for(VSCODE))
    assert {method for method in features.protocol.fm.features if "/did" in method} == {
        method for method in NOTIFICATIONS if "/did" in method
    }


@pytest.mark.parametrize(
    "capabilities",
    [
        {"general": {"positionEncodings": 5}, "textDocument": []},
        {"textDocument": {"hover": {"contentFormat": "markdown"}, "codeAction": 1, "publishDiagnostics": None}},
        {"general": {"positionEncodings": [[], {}, "utf-7"]}, "workspace": {"workspaceEdit": True}},
    ],
)
def test_capabilities_that_make_no_sense(capabilities: dict):
    assert Abilities.of(capabilities) == Abilities()
    assert encoding_of(capabilities) == "utf-16"


@pytest.mark.parametrize(
    ("offered", "said", "expected"),
    [
        (None, "utf-8", "utf-8"),
        (None, "utf-32", "utf-32"),
        (["utf-16"], "utf-8", "utf-16"),
        (None, "utf-7", "utf-16"),
        (None, ["utf-8"], "utf-16"),
    ],
)
def test_clients_that_count_in_their_own_way(offered: list[str] | None, said: object, expected: str):
    capabilities = {"general": {"positionEncodings": offered}} if offered else {}
    assert encoding_of(capabilities, {"positionEncoding": said}) == expected


def test_the_library_that_misspells_the_refresh_of_diagnostics():
    """Helix and other clients in Rust say `workspace.diagnostic`."""
    assert Abilities.of(HELIX).refreshes_diagnostics
