"""Code actions: what is offered to whom, and what the text is after them."""

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.lsp.clients import PRESETS, Client, neovim
from tests.lsp.programs import DETACHED, STACKED

URI = "file:///t/train.py"
MENDED = DETACHED.replace(".detach()", "")
FIX_ALL = "source.fixAll.gradls"


def titled(actions: list[types.CodeAction], word: str) -> types.CodeAction:
    (action,) = [action for action in actions if word.lower() in action.title.lower()]
    return action


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_a_detach_before_backward_is_removed(client: Client, preset: str):
    await client.begin(preset)
    client.open(URI, DETACHED)
    found = await client.diagnostics_of(URI)
    action = titled(await client.actions(URI, found, only=["quickfix"]), "remove")
    assert action.kind == "quickfix"
    assert not action.is_preferred
    assert list(action.diagnostics) == found
    assert await client.choose(URI, action) == MENDED


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_a_list_of_tensors_is_stacked(client: Client, preset: str):
    await client.begin(preset)
    client.open(URI, STACKED)
    found = await client.diagnostics_of(URI)
    action = titled(await client.actions(URI, found), "stack")
    assert action.is_preferred
    assert await client.choose(URI, action) == STACKED.replace("torch.tensor(", "torch.stack(")


@pytest.mark.parametrize(("preset", "later"), [("vscode", True), ("neovim", True), ("emacs", False)])
async def test_edits_come_when_the_client_says(client: Client, preset: str, later: bool):
    result = await client.begin(preset)
    assert bool(result.capabilities.code_action_provider.resolve_provider) is later
    client.open(URI, DETACHED)
    for action in await client.actions(URI, await client.diagnostics_of(URI)):
        assert (action.edit is None) is later


@pytest.mark.parametrize("takes_them", [True, False])
async def test_versions_of_edits_only_for_clients_that_take_them(
    client: Client, takes_them: bool, monkeypatch: pytest.MonkeyPatch
):
    """Neovim does, though it does not say so: it says that it makes files, which only such edits do."""
    able = neovim()
    assert able.workspace.workspace_edit.document_changes is None
    if not takes_them:
        able.workspace.workspace_edit = None
    monkeypatch.setitem(PRESETS, "neovim", lambda: able)
    await client.begin("neovim")
    client.open(URI, DETACHED)
    action = titled(await client.actions(URI, await client.diagnostics_of(URI)), "remove")
    edit = (await client.code_action_resolve_async(action)).edit
    if takes_them:
        (change,) = edit.document_changes
        assert (change.text_document.uri, change.text_document.version) == (URI, 1)
    else:
        assert edit.document_changes is None
        assert list(edit.changes) == [URI]


def stripped(diagnostic: types.Diagnostic) -> types.Diagnostic:
    return types.Diagnostic(range=diagnostic.range, message=diagnostic.message, code=diagnostic.code)


def dataless(diagnostic: types.Diagnostic) -> types.Diagnostic:
    return types.Diagnostic(
        range=diagnostic.range,
        message=diagnostic.message,
        code=diagnostic.code,
        source=diagnostic.source,
        severity=diagnostic.severity,
    )


@pytest.mark.parametrize("forgetful", [stripped, dataless])
async def test_diagnostics_that_come_back_without_data(client: Client, forgetful):
    await client.begin("emacs")
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    cursor = types.Range(found.range.end, found.range.end)
    action = titled(await client.actions(URI, [forgetful(found)], cursor), "remove")
    assert await client.choose(URI, action) == MENDED


async def test_without_diagnostics_the_range_decides(client: Client):
    await client.begin("emacs")
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    action = titled(await client.actions(URI, [], types.Range(found.range.start, found.range.start)), "remove")
    assert await client.choose(URI, action) == MENDED
    elsewhere = types.Range(types.Position(0, 0), types.Position(0, 0))
    assert await client.actions(URI, [], elsewhere, only=["quickfix"]) == []


async def test_another_tools_diagnostics_are_left_alone(client: Client):
    await client.begin("emacs")
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    nowhere = types.Range(types.Position(0, 0), types.Position(0, 0))
    foreign = types.Diagnostic(range=found.range, message=found.message, code=found.code, source="pyright")
    assert await client.actions(URI, [foreign], nowhere, only=["quickfix"]) == []


async def test_only_the_finding_that_was_sent(client: Client):
    text = DETACHED + DETACHED.replace("model", "other").replace("loss", "error")
    await client.begin("vscode")
    client.open(URI, text)
    first, second = await client.diagnostics_of(URI, 2)
    everywhere = types.Range(types.Position(0, 0), types.Position(99, 0))
    for diagnostic, mended in ((first, "loss = model(x).sum()\n"), (second, "error = other(x).sum()\n")):
        action = titled(await client.actions(URI, [diagnostic], everywhere, only=["quickfix"]), "remove")
        after = await client.choose(URI, action)
        assert mended in after
        assert after.count(".detach()") == 1


@pytest.mark.parametrize("only", [["source"], ["source.fixAll"], [FIX_ALL]])
async def test_fix_all(client: Client, only: list[str]):
    """Both lists are stacked; removing the detach is only suggested."""
    text = "# 😀\n" + STACKED + STACKED.replace("model", "other") + DETACHED
    await client.begin("neovim")
    client.open(URI, text)
    await client.diagnostics_of(URI, 3)
    nowhere = types.Range(types.Position(0, 0), types.Position(0, 0))
    (action,) = await client.actions(URI, [], nowhere, only=only)
    assert action.kind == FIX_ALL
    assert await client.choose(URI, action) == text.replace("torch.tensor(", "torch.stack(")


async def test_kinds_that_gradls_has_not(client: Client):
    await client.begin()
    client.open(URI, DETACHED)
    found = await client.diagnostics_of(URI)
    for only in (["refactor"], ["source.organizeImports"], ["source.fixAll.ruff"], ["quick"]):
        assert await client.actions(URI, found, only=only) == []
    kinds = {action.kind for action in await client.actions(URI, found, only=["quickfix"])}
    assert kinds == {"quickfix"}


async def test_fix_all_is_not_offered_where_nothing_is_safe(client: Client):
    await client.begin()
    client.open(URI, DETACHED)
    found = await client.diagnostics_of(URI)
    assert {action.kind for action in await client.actions(URI, found)} == {"quickfix"}
    assert await client.actions(URI, found, only=["source"]) == []


@pytest.mark.parametrize(
    ("line", "ignored"),
    [
        ("loss = model(x).sum().detach()", "loss = model(x).sum().detach()  # gradls: ignore[detached-loss]"),
        (
            "loss = model(x).sum().detach()  # type: ignore",
            "loss = model(x).sum().detach()  # type: ignore  # gradls: ignore[detached-loss]",
        ),
        (
            "loss = model(x).sum().detach()  # gradls: ignore[GRD999]",
            "loss = model(x).sum().detach()  # gradls: ignore[GRD999, detached-loss]",
        ),
        ("loss = model(x).sum().detach()   ", "loss = model(x).sum().detach()   # gradls: ignore[detached-loss]"),
    ],
)
async def test_a_finding_is_ignored_on_its_line(client: Client, line: str, ignored: str):
    await client.begin("neovim")
    text = DETACHED.replace("loss = model(x).sum().detach()", line)
    client.open(URI, text)
    found = await client.diagnostics_of(URI, 1)
    after = await client.choose(URI, titled(await client.actions(URI, found), "ignore"))
    assert after == text.replace(line, ignored)
    client.edit(URI, line + "\n", ignored + "\n")
    assert await client.diagnostics_of(URI) == []


async def test_a_fix_for_a_text_that_is_no_more_is_refused(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    action = titled(await client.actions(URI, await client.diagnostics_of(URI)), "remove")
    client.edit(URI, "import torch\n", "import torch\n\n")
    with pytest.raises(JsonRpcException) as refused:
        await client.code_action_resolve_async(action)
    assert refused.value.code == types.LSPErrorCodes.ContentModified


@pytest.mark.parametrize(
    "data",
    [
        *(None, {}, {"uri": 1}, "x", {"uri": URI, "revision": 0, "code": "?", "span": [1], "fix": 0}),
        {"does": "fix", "uri": URI, "revision": float("inf")},
    ],
)
async def test_nonsense_to_resolve_is_refused(client: Client, data: object):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    with pytest.raises(JsonRpcException) as refused:
        await client.code_action_resolve_async(types.CodeAction(title="Remove", data=data))
    assert refused.value.code == -32602
    assert len(await client.diagnostics_of(URI)) == 1


async def test_a_client_without_literals_gets_commands(client: Client):
    result = await client.begin("plain")
    client.open(URI, DETACHED)
    commands = await client.actions(URI, await client.diagnostics_of(URI))
    assert all(isinstance(command, types.Command) for command in commands)
    command = titled(commands, "remove")
    assert command.command in result.capabilities.execute_command_provider.commands
    await client.workspace_execute_command_async(types.ExecuteCommandParams(command.command, command.arguments))
    assert [client.edited(URI, edit) for edit in client.applied] == [MENDED]


async def test_actions_are_of_the_newest_text(client: Client):
    """Asked in one breath with an edit, the answer counts the edit in."""
    await client.begin("emacs")
    client.open(URI, MENDED)
    client.edit(URI, ".sum()", ".sum().detach()")
    everywhere = types.Range(types.Position(0, 0), types.Position(99, 0))
    action = titled(await client.actions(URI, [], everywhere), "remove")
    assert await client.choose(URI, action) == MENDED


async def test_actions_of_a_file_that_is_not_open(client: Client):
    await client.begin()
    assert await client.actions(URI, [], types.Range(types.Position(0, 0), types.Position(0, 0))) == []
