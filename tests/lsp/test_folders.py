"""Several folders in one workspace, each with its own configuration and its own settings."""

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED, STACKED

EVERYTHING = types.Range(types.Position(0, 0), types.Position(99, 0))


def uri_of(path: Path) -> str:
    uri = from_fs_path(str(path))
    assert uri is not None
    return uri


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("one", "two ä", "three")]
    for folder in found:
        folder.mkdir()
    return found


async def codes(client: Client, path: Path, text: str = DETACHED + STACKED) -> list[str]:
    client.open(uri_of(path), text)
    return [str(each.code) for each in await client.diagnostics_of(uri_of(path))]


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs", "plain"])
async def test_each_has_its_own_configuration(client: Client, folders: list[Path], preset: str):
    one, two, three = folders
    (one / "pyproject.toml").write_text('[tool.gradls]\nignore = ["GRD101"]\n')
    (two / "gradls.toml").write_text('ignore = ["GRD102"]\nignor = []\n')
    await client.begin(preset, folder=one, others=[two, three])
    assert await codes(client, one / "train.py") == ["GRD102"]
    assert await codes(client, two / "pkg" / "train.py") == ["GRD101"]
    assert sorted(await codes(client, three / "train.py")) == ["GRD101", "GRD102"]
    (mistake,) = await client.told_of(uri_of(two / "gradls.toml"), 1)
    assert "`ignor`" in mistake.message


async def test_what_is_in_no_folder_is_of_the_first(client: Client, folders: list[Path], tmp_path: Path):
    one, two, three = folders
    (one / "gradls.toml").write_text('ignore = ["GRD101"]\n')
    await client.begin("vscode", folder=one, others=[two])
    assert await codes(client, three / "train.py") == ["GRD102"]
    client.open("untitled:Untitled-1", DETACHED)
    assert await client.diagnostics_of("untitled:Untitled-1") == []


async def test_a_change_of_one_leaves_the_others_alone(client: Client, folders: list[Path]):
    one, two, _ = folders
    await client.begin("vscode", folder=one, others=[two])
    for folder in (one, two):
        assert len(await codes(client, folder / "train.py")) == 2
    file = two / "gradls.toml"
    file.write_text('ignore = ["GRD1"]\n')
    event = types.FileEvent(uri_of(file), types.FileChangeType.Created)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    assert await client.diagnostics_of(uri_of(two / "train.py"), 0) == []
    assert len(await client.diagnostics_of(uri_of(one / "train.py"))) == 2


async def test_each_has_its_own_settings(client: Client, folders: list[Path]):
    one, two, three = folders
    client.set_configuration({"config": {"ignore": ["GRD101"]}}, section="gradls")
    own = {"config": {"ignore": ["GRD102"]}, "hints": "off"}
    client.set_configuration(own, section="gradls", scope_uri=uri_of(two))
    client.set_configuration({"confg": {}}, section="gradls", scope_uri=uri_of(three))
    await client.begin("vscode", folder=one, others=[two, three])
    for folder, left in ((one, "GRD102"), (two, "GRD101"), (three, "GRD102")):
        uri = uri_of(folder / "train.py")
        client.open(uri, DETACHED + STACKED)
        (found,) = await client.diagnostics_of(uri, 1)
        assert found.code == left
        asked = types.InlayHintParams(types.TextDocumentIdentifier(uri), EVERYTHING)
        assert bool(await client.text_document_inlay_hint_async(asked)) is (folder is not two)
    assert [message.message for message in client.messages if "confg" in message.message]
    client.set_configuration({"config": {}}, section="gradls", scope_uri=uri_of(two))
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    assert len(await client.diagnostics_of(uri_of(two / "train.py"), 2)) == 2


async def test_a_folder_that_comes_brings_its_settings(client: Client, folders: list[Path]):
    one, two, _ = folders
    client.set_configuration({"config": {}}, section="gradls")
    client.set_configuration({"config": {"ignore": ["ALL"]}}, section="gradls", scope_uri=uri_of(two))
    await client.begin("vscode", folder=one)
    assert len(await codes(client, two / "train.py")) == 2
    event = types.WorkspaceFoldersChangeEvent(added=[types.WorkspaceFolder(uri_of(two), "two")], removed=[])
    client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    assert await client.diagnostics_of(uri_of(two / "train.py"), 0) == []
    assert len(await codes(client, one / "train.py")) == 2


async def test_a_rule_is_disabled_in_the_folder_of_the_file(client: Client, folders: list[Path]):
    one, two, _ = folders
    (one / "gradls.toml").write_text("exclude = []\n")
    await client.begin("vscode", folder=one, others=[two])
    uri = uri_of(two / "pkg" / "train.py")
    client.open(uri, DETACHED)
    actions = await client.actions(uri, await client.diagnostics_of(uri, 1))
    (action,) = [action for action in actions if "Disable" in action.title]
    edit = (await client.code_action_resolve_async(action)).edit
    assert {change.uri for change in edit.document_changes[:1]} == {uri_of(two / "gradls.toml")}
