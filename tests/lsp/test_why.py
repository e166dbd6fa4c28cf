"""The command `gradls.why`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.cli.command import LOST
from tests.cli.test_why import ELSEWHERE, NO_GRAPH, traceback_of
from tests.lsp.clients import Client


async def why(client: Client, *arguments: object) -> Any:
    return await client.workspace_execute_command_async(types.ExecuteCommandParams("gradls.why", list(arguments)))


async def test_what_raised_it_and_where(client: Client, tmp_path: Path):
    (tmp_path / "train.py").write_text(LOST)
    result = await client.begin(folder=tmp_path)
    assert "gradls.why" in result.capabilities.execute_command_provider.commands
    answer = await why(client, traceback_of(ELSEWHERE))
    (location,) = answer["locations"]
    assert location["uri"] == (tmp_path / "train.py").as_uri()
    assert location["range"]["start"] == {"line": 4, "character": 7}
    assert (location["code"], location["likely"]) == ("GRD101", True)
    assert location["related"][-1]["range"]["start"]["line"] == 5
    assert "no graph to go back through" in answer["markdown"]
    assert "```diff\n" in answer["markdown"]
    assert "\n+loss = model(torch.randn(4, 3)).mean()\n" in answer["markdown"]


async def test_the_text_that_is_open_counts(client: Client, tmp_path: Path):
    path = tmp_path / "train.py"
    path.write_text(LOST.replace(".detach()", ""))
    await client.begin(folder=tmp_path)
    client.open(path.as_uri(), f"\n\n{LOST}")
    await client.diagnostics_of(path.as_uri())
    (location,) = (await why(client, traceback_of(str(path))))["locations"]
    assert location["range"]["start"]["line"] == 6


async def test_only_a_message(client: Client):
    await client.begin()
    answer = await why(client, NO_GRAPH)
    assert (answer["known"], answer["message"], answer["locations"]) == (True, "no-graph", [])
    assert "Usual cause" in answer["markdown"]
    assert (await why(client, "KeyError: 'lr'"))["known"] is False


@pytest.mark.parametrize("arguments", [(), ("",), (1,), ("a", "b"), ({"text": "a"},)])
async def test_wrong_arguments_are_refused(client: Client, arguments: tuple[object, ...]):
    await client.begin()
    with pytest.raises(JsonRpcException, match="wants the text of an error"):
        await why(client, *arguments)
