"""Code actions for clients that can do any mixture of what matters for them: each gets a form that it understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.uris import from_fs_path

from tests.lsp.clients import PRESETS, Client
from tests.lsp.programs import DETACHED, STACKED

# Each ability is in half of them, with and without each of the others.
MIXTURES = [
    {"literals"},
    {"literals", "resolve", "create"},
    {"literals", "disabled", "documents", "versions"},
    {"literals", "resolve", "disabled", "versions", "create"},
    {"documents", "apply"},
    {"resolve", "versions", "apply"},
    {"literals", "resolve", "documents", "versions", "create", "apply"},
    {"disabled", "create", "versions", "documents", "apply"},
    set(),
]


def capabilities(able: set[str]) -> types.ClientCapabilities:
    action: dict[str, Any] = {"dataSupport": "resolve" in able, "disabledSupport": "disabled" in able}
    if "literals" in able:
        action["codeActionLiteralSupport"] = {"codeActionKind": {"valueSet": ["quickfix", "source"]}}
    if "resolve" in able:
        action["resolveSupport"] = {"properties": ["edit"]}
    edit = {
        "documentChanges": "versions" in able,
        **({"resourceOperations": ["create"]} if "create" in able else {}),
    }
    given = {
        "workspace": {"applyEdit": "apply" in able, "workspaceEdit": edit},
        "textDocument": {"codeAction": action, "publishDiagnostics": {"versionSupport": True}},
        "window": {"showDocument": {"support": "documents" in able}},
    }
    return get_converter().structure(given, types.ClientCapabilities)


@pytest.mark.parametrize("able", MIXTURES, ids=lambda able: "+".join(sorted(able)) or "nothing")
async def test_what_is_offered_can_be_done(
    client: Client, tmp_path: Path, able: set[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(PRESETS, "mixed", lambda: capabilities(able))
    result = await client.begin("mixed", folder=tmp_path)
    uri = from_fs_path(str(tmp_path / "train.py"))
    client.open(uri, DETACHED + STACKED)
    found = await client.diagnostics_of(uri, 2)
    if not able & {"literals", "apply"}:
        assert result.capabilities.code_action_provider is None
        return
    actions = await client.actions(uri, found)
    commands = result.capabilities.execute_command_provider.commands
    for action in actions:
        await check(client, action, able, commands)
    titles = [action.title for action in actions]
    assert any("Disable" in title for title in titles) is ("create" in able)
    assert any("documentation" in title for title in titles) is ("documents" in able)
    assert sum("Ignore" in title for title in titles) == 2
    assert sum("make all safe fixes" in title for title in titles) == 1


async def check(client: Client, action: Any, able: set[str], commands: list[str]) -> None:
    if "literals" not in able:
        assert isinstance(action, types.Command)
        assert action.command in commands
        count = len(client.applied)
        await client.workspace_execute_command_async(types.ExecuteCommandParams(action.command, action.arguments))
        assert len(client.applied) - count == ("documentation" not in action.title)
        if len(client.applied) > count:
            check_edit(client.applied[-1], able)
        return
    assert action.kind in ("quickfix", "source.fixAll.gradls")
    assert action.disabled is None
    if action.command is not None:
        assert action.command.command in commands
        return
    if "resolve" in able:
        assert action.edit is None
        action = await client.code_action_resolve_async(action)
    check_edit(action.edit, able)


def check_edit(edit: types.WorkspaceEdit, able: set[str]) -> None:
    assert (edit.changes is None) is not (edit.document_changes is None)
    if edit.document_changes is not None:
        assert able & {"versions", "create"}
        assert "create" in able or not any(isinstance(change, types.CreateFile) for change in edit.document_changes)
    else:
        assert "versions" not in able
