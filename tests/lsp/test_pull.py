"""Clients that ask for the diagnostics of a text: what they are told, and when they are told to ask again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED, STACKED
from tests.lsp.raw import Raw, started
from tests.lsp.test_names import uri_of
from tests.lsp.test_notebooks import BACKWARD, IMPORTS, LOST, Notebook
from tests.lsp.test_project import NET, TRAIN

URI = "file:///t/train.py"
FULL, UNCHANGED = types.DocumentDiagnosticReportKind.Full, types.DocumentDiagnosticReportKind.Unchanged
CANCELLED, SERVER_CANCELLED, INVALID_PARAMS, NO_METHOD = -32800, -32802, -32602, -32601
PULLING = {"textDocument": {"diagnostic": {}}}
LONG = DETACHED + "".join(f"def f{i}(x):\n    return [x + {i} for _ in x]\n\n\n" for i in range(3000))


@pytest.mark.parametrize("preset", ["vscode", "neovim"])
async def test_who_asks_is_answered_and_nothing_is_published(client: Client, preset: str):
    result = await client.begin(preset)
    assert result.capabilities.diagnostic_provider.inter_file_dependencies
    client.open(URI, DETACHED)
    report = await client.pull(URI)
    assert (report.kind, [found.code for found in report.items]) == (FULL, ["GRD101"])
    assert report.items[0].related_information
    again = await client.pull(URI, report.result_id)
    assert (again.kind, again.result_id) == (UNCHANGED, report.result_id)
    client.edit(URI, ".detach()", "")
    mended = await client.pull(URI, report.result_id)
    assert (mended.kind, list(mended.items)) == (FULL, [])
    client.edit(URI, ".sum()", ".sum().detach()")
    # The same as at first, though the client has something else by now.
    assert (await client.pull(URI, mended.result_id)).items == report.items
    client.shut(URI)
    assert not (await client.pull("file:///t/never_opened.py")).items
    assert client.published == []


async def test_result_ids_belong_to_one_file(client: Client):
    await client.begin()
    ids = []
    for uri in ("file:///t/one.py", "file:///t/two.py"):
        client.open(uri, "import torch\n")
        ids.append((await client.pull(uri)).result_id)
    assert len(set(ids)) == 2
    assert (await client.pull("file:///t/two.py", ids[0])).kind == FULL


@pytest.mark.parametrize(("text", "kind"), [(DETACHED, UNCHANGED), (STACKED, FULL), ("\n" + DETACHED, FULL)])
async def test_result_ids_of_a_server_that_is_gone(client: Client, text: str, kind: types.DocumentDiagnosticReportKind):
    """They say that nothing has changed only where the diagnostics are these very ones."""
    first = Client()
    await first.begin()
    first.open(URI, DETACHED)
    known = (await first.pull(URI)).result_id
    await first.shutdown_session()
    await first.stop()
    await client.begin()
    client.open(URI, text)
    assert (await client.pull(URI, known)).kind == kind


async def test_each_keystroke_asks(client: Client):
    """Who asks while a text is analysed hears of the newest one; who asked about an older one has asked again."""
    await client.begin()
    client.open(URI, LONG)
    asked = []
    for _ in range(10):
        for old, new in ((".detach()", ""), (".sum()", ".sum().detach()")):
            asked.append(asyncio.ensure_future(client.pull(URI)))
            await asyncio.sleep(0)
            client.edit(URI, old, new)
    asked.append(asyncio.ensure_future(client.pull(URI)))
    *older, newest = await asyncio.gather(*asked, return_exceptions=True)
    assert [found.code for found in newest.items] == ["GRD101"]
    refused = [answer for answer in older if isinstance(answer, JsonRpcException)]
    assert refused
    assert {error.code for error in refused} == {SERVER_CANCELLED}
    assert not any(error.data["retriggerRequest"] for error in refused)


def pulling(raw: Raw) -> None:
    raw.begin(capabilities=PULLING)
    raw.open(URI, LONG)


def asking(identifier: int) -> dict[str, object]:
    params = {"textDocument": {"uri": URI}}
    return {"jsonrpc": "2.0", "id": identifier, "method": "textDocument/diagnostic", "params": params}


def test_a_cancelled_question_is_answered_at_once():
    with started() as (raw, _):
        pulling(raw)
        raw.send(asking(1), {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}}, asking(2))
        assert raw.answer(1)["error"]["code"] == CANCELLED
        assert len(raw.answer(2)["result"]["items"]) == 1
        raw.notify("$/cancelRequest", {"id": 2})
        assert raw.request(3, "textDocument/diagnostic", {"textDocument": {"uri": URI}})["result"]["items"]


def test_a_file_that_is_closed_before_it_was_analysed():
    with started() as (raw, _):
        pulling(raw)
        raw.send(asking(1))
        raw.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        error = raw.answer(1)["error"]
        assert (error["code"], error["data"]) == (SERVER_CANCELLED, {"retriggerRequest": False})


def test_what_waits_is_answered_before_the_server_shuts_down():
    with started() as (raw, _):
        pulling(raw)
        raw.send(asking(1), {"jsonrpc": "2.0", "id": 2, "method": "shutdown"})
        assert raw.answer(1)["error"]["code"] == CANCELLED
        assert raw.answer(2)["result"] is None


def test_questions_that_make_no_sense():
    with started() as (raw, _):
        pulling(raw)
        for number, params in enumerate((None, [], {}, {"textDocument": 1}, {"textDocument": {"uri": 1}})):
            assert raw.request(number, "textDocument/diagnostic", params)["error"]["code"] == INVALID_PARAMS
        odd = {"textDocument": {"uri": URI}, "previousResultId": ["x"], "identifier": 7}
        assert len(raw.request("odd", "textDocument/diagnostic", odd)["result"]["items"]) == 1


def test_who_did_not_say_that_it_asks_is_published_to():
    with started() as (raw, _):
        raw.begin()
        raw.open(URI, DETACHED)
        assert len(raw.published(1)["diagnostics"]) == 1
        answer = raw.request(1, "textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert answer["error"]["code"] == NO_METHOD


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET, encoding="utf-8")
    return path


async def losing(client: Client, preset: str, net: Path) -> str:
    """A program that was asked about, and that loses its gradient in another file since."""
    await client.begin(preset, folder=net.parent)
    train = uri_of(net.parent / "train.py")
    client.open(train, TRAIN)
    client.open(uri_of(net), NET)
    assert not (await client.pull(train)).items
    client.edit(uri_of(net), "self.out(x)", "self.out(x).detach()")
    return train


async def test_a_client_is_told_to_ask_again_when_another_file_changes(client: Client, net: Path):
    train = await losing(client, "vscode", net)
    while types.WORKSPACE_DIAGNOSTIC_REFRESH not in client.refreshed:
        await client.news()
    assert [found.code for found in (await client.pull(train)).items] == ["GRD101"]
    assert client.published == []


async def test_a_client_that_cannot_be_told_to_ask_again_gets_what_is_new_and_nothing_twice(client: Client, net: Path):
    """It shows what it asked for and what was published side by side."""
    train = await losing(client, "neovim", net)
    while not client.published:
        await client.news()
    (pushed,) = client.published
    assert (pushed.uri, [found.code for found in pushed.diagnostics]) == (train, ["GRD101"])
    client.edit(train, "model = Net()", "model = Net() ")
    assert [found.code for found in (await client.pull(train)).items] == ["GRD101"]
    assert not client.published[-1].diagnostics
    assert types.WORKSPACE_DIAGNOSTIC_REFRESH not in client.refreshed


async def test_settings_that_change(client: Client):
    await client.begin()
    client.open(URI, DETACHED)
    assert len((await client.pull(URI)).items) == 1
    change = types.DidChangeConfigurationParams({"gradls": {"config": {"ignore": ["GRD1"]}}})
    client.workspace_did_change_configuration(change)
    while types.WORKSPACE_DIAGNOSTIC_REFRESH not in client.refreshed:
        await client.news()
    assert not (await client.pull(URI)).items


async def test_cells(client: Client):
    await client.begin()
    notebook = Notebook(client)
    notebook.open("# Title", IMPORTS, LOST, BACKWARD)
    (found,) = await notebook.found(2)
    assert client.marked(notebook.order[2], found.range).endswith(".detach()")
    assert found.related_information[-1].location.uri == notebook.order[3]
    assert await notebook.found(1) == await notebook.found(3) == []
    before = await client.pull(notebook.order[2])
    notebook.edit(1, "import torch\n", "\nimport torch\n")
    assert (await client.pull(notebook.order[2], before.result_id)).kind == UNCHANGED
    notebook.edit(2, ".detach()", "")
    assert await notebook.found(2) == []
    assert client.published == []
