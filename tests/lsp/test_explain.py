"""The command `gradls.explain`, and clients that show the pages of rules themselves."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED

URI = "file:///t/train.py"


async def explain(client: Client, *keys: str) -> Any:
    return await client.workspace_execute_command_async(types.ExecuteCommandParams("gradls.explain", list(keys)))


async def test_a_rule_is_explained_by_its_code_or_name(client: Client):
    result = await client.begin()
    assert "gradls.explain" in result.capabilities.execute_command_provider.commands
    answer = await explain(client, "grd101", "tensor-of-tensors")
    assert [rule["code"] for rule in answer["rules"]] == ["GRD101", "GRD102"]
    assert answer["rules"][0]["page"].startswith("# GRD101 detached-loss\n")
    assert "## Use instead" in answer["rules"][0]["page"]


async def test_all_rules_to_choose_from(client: Client):
    await client.begin()
    rules = (await explain(client))["rules"]
    assert {"code": "GRD101", "name": "detached-loss"}.items() <= rules[0].items()
    assert all(rule["summary"] and "page" not in rule for rule in rules)


async def test_a_rule_that_there_is_not(client: Client):
    await client.begin()
    with pytest.raises(JsonRpcException, match="no rule is called GRD000"):
        await explain(client, "GRD000")


async def test_a_client_may_say_where_it_shows_pages(client: Client):
    await client.begin(options={"rulePages": "page:{code}/{name}"})
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    assert found.code_description.href == "page:GRD101/detached-loss"
    hover = await client.text_document_hover_async(
        types.HoverParams(types.TextDocumentIdentifier(URI), found.range.start)
    )
    assert "[GRD101 detached-loss](page:GRD101/detached-loss)" in hover.contents.value


async def test_a_client_may_have_findings_in_its_hovers_by_itself(client: Client):
    await client.begin(options={"showsFindings": True})
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    hover = await client.text_document_hover_async(
        types.HoverParams(types.TextDocumentIdentifier(URI), found.range.start)
    )
    assert "GRD101 detached-loss" in hover.contents.value
    assert found.message not in hover.contents.value
