"""Actions about a rule: fixed everywhere, disabled in the project, explained; and mistakes in configuration files."""

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import from_fs_path

from tests.lsp.clients import PRESETS, Client, vscode
from tests.lsp.programs import DETACHED, STACKED

EVERYWHERE = types.Range(types.Position(0, 0), types.Position(99, 0))
CODE = "gradls.openDocumentation"


def uri_of(path: Path) -> str:
    uri = from_fs_path(str(path))
    assert uri is not None
    return uri


def titled(actions: list[types.CodeAction], words: str) -> types.CodeAction:
    (action,) = [action for action in actions if words in action.title]
    return action


def titles(actions: list[types.CodeAction]) -> list[str]:
    return [action.title for action in actions]


async def resolved(client: Client, action: types.CodeAction) -> types.WorkspaceEdit:
    if action.edit is None:
        action = await client.code_action_resolve_async(action)
    assert action.edit is not None
    return action.edit


def parts(edit: types.WorkspaceEdit) -> tuple[str, int | None, list[types.TextEdit], bool]:
    """The one file that an edit changes: its URI, version, edits, and whether it is made for that."""
    if edit.document_changes is None:
        ((uri, edits),) = edit.changes.items()
        return uri, None, list(edits), False
    *made, change = edit.document_changes
    assert all(isinstance(each, types.CreateFile) and each.uri == change.text_document.uri for each in made)
    return change.text_document.uri, change.text_document.version, list(change.edits), bool(made)


def written(client: Client, path: Path, edit: types.WorkspaceEdit) -> str:
    """What the file at `path` says after `edit`."""
    uri, _, (change,), is_new = parts(edit)
    assert uri == uri_of(path)
    assert is_new is not path.exists()
    client.texts[uri] = path.read_text() if path.exists() else ""
    client.versions[uri] = None
    text = client.texts[uri].replace("\r\n", "\n")
    start, end = (client._offset(text, position) for position in (change.range.start, change.range.end))
    return text[:start] + change.new_text + text[end:]


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_all_of_a_rule_are_fixed(client: Client, tmp_path: Path, preset: str):
    """Also fixes that are only suggested: somebody has asked for just these."""
    text = DETACHED + DETACHED.replace("model", "other").replace("loss", "error") + STACKED
    uri = uri_of(tmp_path / "train.py")
    await client.begin(preset, folder=tmp_path)
    client.open(uri, text)
    found = await client.diagnostics_of(uri, 3)
    action = titled(await client.actions(uri, found[:1]), "Fix all detached-loss in this file")
    assert action.kind == "quickfix"
    assert not action.is_preferred
    assert await client.choose(uri, action) == text.replace(".detach()", "")
    assert not any("Fix all" in title for title in titles(await client.actions(uri, found[2:])))


async def test_actions_about_a_rule_are_offered_once(client: Client, tmp_path: Path):
    uri = uri_of(tmp_path / "train.py")
    await client.begin(folder=tmp_path)
    client.open(uri, DETACHED + DETACHED.replace("model", "other"))
    await client.diagnostics_of(uri, 2)
    found = titles(await client.actions(uri, [], EVERYWHERE))
    for words, count in (("Fix all detached", 1), ("Disable detached", 1), ("documentation of", 1), ("Ignore", 2)):
        assert len([title for title in found if words in title]) == count


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("gradls.toml", 'ignore = ["GRD1011"]\n', 'ignore = ["GRD1011", "detached-loss"]\n'),
        (
            "pyproject.toml",
            "[project]\r\nname = 'ü'\r\n",
            "[project]\nname = 'ü'\n\r\n[tool.gradls]\r\nignore = [\"detached-loss\"]\r\n",
        ),
        (
            "pyproject.toml",
            "[tool.gradls]\nhints = 'off'\n",
            "[tool.gradls]\nhints = 'off'\nignore = [\"detached-loss\"]\n",
        ),
    ],
)
@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_a_rule_is_disabled_in_the_project(
    client: Client, tmp_path: Path, preset: str, name: str, before: str, after: str
):
    folder = tmp_path / "a b+ü"
    folder.mkdir()
    (folder / name).write_bytes(before.encode())
    uri = uri_of(folder / "pkg" / "train.py")
    await client.begin(preset, folder=folder)
    client.open(uri, DETACHED)
    action = titled(await client.actions(uri, await client.diagnostics_of(uri, 1)), "Disable detached-loss in this")
    assert name in action.title
    assert written(client, folder / name, await resolved(client, action)) == after


@pytest.mark.parametrize(("preset", "creates"), [("vscode", True), ("emacs", False), ("neovim", True)])
async def test_a_configuration_file_is_made_where_the_client_can(
    client: Client, tmp_path: Path, preset: str, creates: bool
):
    uri = uri_of(tmp_path / "pkg" / "train.py")
    await client.begin(preset, folder=tmp_path)
    client.open(uri, DETACHED)
    offered = [
        each for each in await client.actions(uri, await client.diagnostics_of(uri, 1)) if "Disable" in each.title
    ]
    assert bool(offered) is creates
    if creates:
        edit = await resolved(client, offered[0])
        assert written(client, tmp_path / "gradls.toml", edit) == 'ignore = ["detached-loss"]\n'


@pytest.mark.parametrize("preset", ["vscode", "neovim"])
async def test_what_disables_a_rule_does_so(client: Client, tmp_path: Path, preset: str):
    """Also where nobody watches the file, when it is saved."""
    file, uri = tmp_path / "gradls.toml", uri_of(tmp_path / "train.py")
    file.write_text('select = ["detached-loss"]\n')
    await client.begin(preset, folder=tmp_path)
    client.open(uri, DETACHED)
    action = titled(await client.actions(uri, await client.diagnostics_of(uri, 1)), "Disable")
    file.write_text(written(client, file, await resolved(client, action)))
    if preset == "vscode":
        event = types.FileEvent(uri_of(file), types.FileChangeType.Changed)
        client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    assert await client.diagnostics_of(uri, 0) == []


async def test_an_open_configuration_file_is_changed_as_it_is_open(client: Client, tmp_path: Path):
    file, uri = tmp_path / "gradls.toml", uri_of(tmp_path / "train.py")
    file.write_text('ignore = ["GRD2"]\n')
    await client.begin(folder=tmp_path)
    client.open(uri, DETACHED)
    client.open(uri_of(file), '# typed\nignore = ["GRD2"]\n', version=7, language="toml")
    client.edit(uri_of(file), '["GRD2"]', '[\n  "GRD2",\n]')
    action = titled(await client.actions(uri, await client.diagnostics_of(uri, 1)), "Disable")
    edit = await resolved(client, action)
    assert parts(edit)[1] == 8
    assert client.edited(uri_of(file), edit) == '# typed\nignore = [\n  "GRD2",\n  "detached-loss",\n]\n'


async def test_where_a_rule_cannot_be_disabled(client: Client, tmp_path: Path):
    """Clients that can are told why; here the file is broken by the time that it is asked for."""
    file, uri = tmp_path / "gradls.toml", uri_of(tmp_path / "train.py")
    file.write_text("ignore = []\n")
    await client.begin(folder=tmp_path)
    client.open(uri, DETACHED)
    action = titled(await client.actions(uri, await client.diagnostics_of(uri, 1)), "Disable")
    file.write_text("ignore = [")
    with pytest.raises(JsonRpcException, match=r"gradls\.toml cannot be read"):
        await client.code_action_resolve_async(action)


@pytest.mark.parametrize(("preset", "told"), [("vscode", True), ("emacs", False)])
async def test_settings_of_the_editor_would_win(client: Client, tmp_path: Path, preset: str, told: bool):
    (tmp_path / "gradls.toml").touch()
    uri = uri_of(tmp_path / "train.py")
    await client.begin(preset, folder=tmp_path, options={"config": {"ignore": ["GRD2"]}})
    client.open(uri, DETACHED)
    offered = [
        each for each in await client.actions(uri, await client.diagnostics_of(uri, 1)) if "Disable" in each.title
    ]
    assert bool(offered) is told
    if told:
        assert "settings of the editor" in offered[0].disabled.reason
        assert offered[0].data is None


async def test_nothing_is_disabled_where_there_is_no_project(client: Client):
    await client.begin("vscode")
    client.open("untitled:Untitled-1", DETACHED)
    found = await client.diagnostics_of("untitled:Untitled-1", 1)
    assert not any("Disable" in title for title in titles(await client.actions("untitled:Untitled-1", found)))


async def test_the_documentation_is_shown(client: Client, tmp_path: Path):
    uri = uri_of(tmp_path / "train.py")
    await client.begin("vscode", folder=tmp_path)
    client.open(uri, DETACHED)
    action = titled(
        await client.actions(uri, await client.diagnostics_of(uri)), "Open the documentation of detached-loss"
    )
    assert action.edit is None
    assert (await client.code_action_resolve_async(action)).edit is None
    command = action.command
    await client.workspace_execute_command_async(types.ExecuteCommandParams(command.command, command.arguments))
    (shown,) = client.opened
    assert "## What PyTorch does" in Path(shown.uri.removeprefix("file://")).read_text()


@pytest.mark.parametrize(
    ("preset", "options", "offered"), [("emacs", None, False), ("emacs", {"commands": [CODE]}, True)]
)
async def test_documentation_only_where_it_can_be_shown(
    client: Client, tmp_path: Path, preset: str, options: object, offered: bool
):
    uri = uri_of(tmp_path / "train.py")
    await client.begin(preset, folder=tmp_path, options=options)
    client.open(uri, DETACHED)
    actions = await client.actions(uri, await client.diagnostics_of(uri))
    commands = [action.command for action in actions if action.command]
    assert [command.command for command in commands] == ([CODE] if offered else [])


@pytest.mark.parametrize("argument", [None, "GRD0", {"code": 1}, 7])
async def test_documentation_of_nothing(client: Client, argument: object):
    await client.begin()
    with pytest.raises(JsonRpcException, match="no rule is called"):
        await client.workspace_execute_command_async(types.ExecuteCommandParams(CODE, [argument]))


@pytest.mark.parametrize("preset", sorted(PRESETS.keys() - {"minimal"}))
async def test_one_preferred_action_for_each_finding(client: Client, tmp_path: Path, preset: str):
    uri = uri_of(tmp_path / "train.py")
    await client.begin(preset, folder=tmp_path)
    client.open(uri, STACKED)
    found = await client.diagnostics_of(uri, 1)
    actions = await client.actions(uri, found)
    if preset == "plain":
        assert {type(action) for action in actions} == {types.Command}
    else:
        assert [action.title for action in actions if action.is_preferred] == [actions[0].title]


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs", "plain"])
async def test_a_mistake_in_a_configuration_file_is_mended(client: Client, tmp_path: Path, preset: str):
    file = tmp_path / "pyproject.toml"
    text = "[tool.gradls]\nignor = []\nselect = ['😀', 'detached-los']\nhints = 3\n"
    await client.begin(preset, folder=tmp_path)
    uri = uri_of(file)
    client.open(uri, text, version=3, language="toml")
    found = await client.diagnostics_of(uri, 4)
    for words, new in (
        ("Replace by `ignore`", text.replace("ignor", "ignore")),
        ('Replace by `"detached-loss"`', text.replace("'detached-los'", '"detached-loss"')),
    ):
        about = [each for each in found if words.split("`")[1].strip('"') in each.message]
        action = titled(await client.actions(uri, about), words)
        if preset == "plain":
            await client.workspace_execute_command_async(types.ExecuteCommandParams(action.command, action.arguments))
            assert client.edited(uri, client.applied[-1]) == new
        else:
            assert action.is_preferred
            assert await client.choose(uri, action) == new
    assert await client.actions(uri, found[3:]) == []
    client.edit(uri, "hints = 3", "hints = 3\nignore = ['detached-los']")
    twice = [each for each in await client.told_of(uri, 5) if "detached-loss" in each.message]
    assert [len(await client.actions(uri, [each])) for each in twice] == [1, 1]
    assert await client.actions(uri, found, only=["source.fixAll"]) in (None, [])


async def test_a_mistake_that_is_no_more_is_not_mended(client: Client, tmp_path: Path):
    await client.begin(folder=tmp_path)
    uri = uri_of(tmp_path / "gradls.toml")
    client.open(uri, "ignor = []\n", language="toml")
    (action,) = await client.actions(uri, await client.diagnostics_of(uri, 1))
    client.edit(uri, "ignor", "# ignor")
    with pytest.raises(JsonRpcException) as refused:
        await client.code_action_resolve_async(action)
    assert refused.value.code == types.LSPErrorCodes.ContentModified
    assert await client.actions(uri, [], EVERYWHERE) == []


def test_the_presets_differ_in_what_matters_here():
    assert vscode().text_document.code_action.disabled_support
    assert not PRESETS["emacs"]().text_document.code_action.disabled_support


IN_TEXT = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
model(torch.randn(4, 3)).sum().backward()
print(f"{nn.utils.clip_grad_norm(model.parameters(), 1.0)}")
"""


@pytest.mark.parametrize(("preset", "told"), [("vscode", True), ("neovim", False), ("emacs", False)])
async def test_a_fix_that_cannot_be_made(client: Client, tmp_path: Path, preset: str, told: bool):
    """Who can show why is told; who opens the menu is asked for; others do not see it."""
    uri = uri_of(tmp_path / "train.py")
    await client.begin(preset, folder=tmp_path)
    client.open(uri, IN_TEXT)
    found = [each for each in await client.diagnostics_of(uri) if each.code == "GRD901"]
    invoked = types.CodeActionContext(found, trigger_kind=types.CodeActionTriggerKind.Invoked)
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), found[0].range, invoked)
    offered = [each for each in await client.text_document_code_action_async(params) if "Rename" in each.title]
    assert bool(offered) is told
    if told:
        assert offered[0].disabled.reason
        assert (offered[0].edit, offered[0].data, offered[0].is_preferred) == (None, None, None)
        automatic = types.CodeActionContext(found, trigger_kind=types.CodeActionTriggerKind.Automatic)
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), found[0].range, automatic)
        (lazily,) = [each for each in await client.text_document_code_action_async(params) if "Rename" in each.title]
        assert lazily.disabled is None
        with pytest.raises(JsonRpcException, match="cannot be made"):
            await client.code_action_resolve_async(lazily)


async def test_where_no_comment_can_stand(client: Client, tmp_path: Path):
    uri = uri_of(tmp_path / "train.py")
    await client.begin("vscode", folder=tmp_path)
    client.open(uri, DETACHED.replace(".detach()", '.detach() ; s = """\n"""  \\\n'))
    action = titled(await client.actions(uri, await client.diagnostics_of(uri, 1)), "Ignore")
    assert "comment" in action.disabled.reason


async def test_nothing_is_offered_in_files_that_are_left_alone(client: Client, tmp_path: Path):
    (tmp_path / "gradls.toml").write_text('exclude = ["train.py"]\n')
    uri = uri_of(tmp_path / "train.py")
    await client.begin("vscode", folder=tmp_path)
    client.open(uri, DETACHED + STACKED)
    assert await client.diagnostics_of(uri) == []
    assert await client.actions(uri, [], EVERYWHERE) == []
    assert await client.actions(uri, [], EVERYWHERE, only=["source.fixAll"]) == []
