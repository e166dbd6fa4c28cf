"""The command `gradls.showPicture`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import to_fs_path

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED

URI = "file:///t/train.py"


async def command(client: Client, *arguments: object) -> Any:
    return await client.workspace_execute_command_async(
        types.ExecuteCommandParams("gradls.showPicture", list(arguments))
    )


async def test_the_picture_and_where_its_boxes_lead(client: Client):
    result = await client.begin("neovim")
    assert "gradls.showPicture" in result.capabilities.execute_command_provider.commands
    text = DETACHED.replace("import torch\n", "import torch  # 𝒳\n", 1).replace("loss = ", "𝒳, loss = 1, ")
    client.open(URI, text)
    answer = await command(client, URI, {"line": 6, "character": 0})
    assert answer["summary"][-1] == "2 lose it at model(x).sum().detach() (line 6): model."
    assert answer["svg"].startswith("<svg ")
    assert answer["html"].startswith("<!DOCTYPE html>")
    cut = next(box for box in answer["boxes"] if box["kind"] == "cut")
    area = cut["location"]["range"]
    area = types.Range(types.Position(**area["start"]), types.Position(**area["end"]))
    assert cut["location"]["uri"] == URI
    assert client.marked(URI, area) == "model(x).sum().detach()"


async def test_it_is_shown_by_clients_that_open_files(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    answer = await command(client, {"uri": URI, "position": {"line": 6, "character": 3}})
    assert answer["shown"] is True
    (shown,) = client.opened
    assert shown.external
    path = to_fs_path(shown.uri)
    with open(path, encoding="utf-8") as file:
        assert file.read() == answer["html"]
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_the_files_go_with_the_server():
    program = 'from gradls.server.pictures import Files; f = Files(); print(*[f.write("x") for _ in range(50)])'
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    paths = {to_fs_path(uri) for uri in run.stdout.split()}
    assert len(paths) == 20
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths)


async def test_a_client_that_shows_it_itself(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    answer = await command(client, URI, {"line": 6, "character": 0}, {"show": False})
    assert "shown" not in answer
    assert not client.opened


async def test_nothing_to_draw_is_said(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    answer = await command(client, URI, {"line": 0, "character": 0})
    assert "backward() is called on line 7" in answer["message"]
    while not client.messages:
        await client.news()
    assert answer["message"] in client.messages[0].message
    assert not client.opened


@pytest.mark.parametrize("arguments", [(), (URI,), (1, 2), ({"uri": URI},), ("file:///other.py", {"line": 1})])
async def test_wrong_arguments_are_refused(client: Client, arguments: tuple[object, ...]):
    await client.begin("plain")
    client.open(URI, DETACHED)
    with pytest.raises(JsonRpcException, match=r"showPicture wants|is not open"):
        await command(client, *arguments)
    assert (await command(client, URI, {"line": 6, "character": 0}))["svg"]
