"""Configuration files, settings of the editor, workspace folders."""

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED, STACKED

IGNORING = '[tool.gradls]\nignore = ["detached-loss"]\n'


def uri_of(path: Path) -> str:
    uri = from_fs_path(str(path))
    assert uri is not None
    return uri


def saved(path: Path, kind: types.FileChangeType = types.FileChangeType.Changed) -> types.DidChangeWatchedFilesParams:
    return types.DidChangeWatchedFilesParams([types.FileEvent(uri_of(path), kind)])


async def test_the_projects_configuration(client: Client, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(IGNORING)
    await client.begin(folder=tmp_path)
    uri = uri_of(tmp_path / "a b+ü" / "train.py")
    client.open(uri, DETACHED + STACKED)
    (found,) = await client.diagnostics_of(uri)
    assert found.code == "GRD102"


async def test_a_changed_configuration_file_counts_at_once(client: Client, tmp_path: Path):
    project = tmp_path / "pyproject.toml"
    await client.begin(folder=tmp_path)
    uris = [uri_of(tmp_path / name) for name in ("one.py", "two.py")]
    for uri in uris:
        client.open(uri, DETACHED)
        assert len(await client.diagnostics_of(uri)) == 1
    patterns = [watcher["globPattern"] for watcher in await watchers(client)]
    assert "**/pyproject.toml" in patterns

    project.write_text(IGNORING)
    client.workspace_did_change_watched_files(saved(project, types.FileChangeType.Created))
    for uri in uris:
        assert await client.diagnostics_of(uri, 0) == []
    project.unlink()
    client.workspace_did_change_watched_files(saved(project, types.FileChangeType.Deleted))
    for uri in uris:
        assert len(await client.diagnostics_of(uri, 1)) == 1


async def watchers(client: Client) -> list[dict[str, str]]:
    while types.WORKSPACE_DID_CHANGE_WATCHED_FILES not in client.registrations:
        await client.news()
    return client.registrations[types.WORKSPACE_DID_CHANGE_WATCHED_FILES]["watchers"]


async def test_a_folder_in_the_workspace_with_a_configuration_of_its_own(client: Client, tmp_path: Path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "gradls.toml").write_text('ignore = ["GRD1"]\n')
    await client.begin(folder=tmp_path)
    for folder, count in ((inner, 0), (tmp_path, 1)):
        uri = uri_of(folder / "train.py")
        client.open(uri, DETACHED)
        assert len(await client.diagnostics_of(uri)) == count


async def test_excluded_files_are_left_alone(client: Client, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text('[tool.gradls]\nexclude = ["legacy/"]\n')
    await client.begin(folder=tmp_path)
    for name, count in (("legacy/train.py", 0), ("train.py", 1)):
        uri = uri_of(tmp_path / name)
        client.open(uri, DETACHED)
        assert len(await client.diagnostics_of(uri)) == count


async def test_settings_of_the_editor_win(client: Client, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(IGNORING)
    await client.begin(folder=tmp_path, options={"config": {"ignore": ["GRD102"]}})
    uri = uri_of(tmp_path / "train.py")
    client.open(uri, DETACHED + STACKED)
    (found,) = await client.diagnostics_of(uri)
    assert found.code == "GRD101"


@pytest.mark.parametrize("preset", ["vscode", "plain"])
async def test_settings_that_are_sent(client: Client, preset: str):
    """Neither asks the sender to name the section."""
    uri = "file:///t/train.py"
    await client.begin(preset)
    client.open(uri, DETACHED)
    assert len(await client.diagnostics_of(uri)) == 1
    change = types.DidChangeConfigurationParams
    client.workspace_did_change_configuration(change({"gradls": {"config": {"severity": {"GRD1": "hint"}}}}))
    while (await client.diagnostics_of(uri))[0].severity != types.DiagnosticSeverity.Hint:
        await client.news()
    client.workspace_did_change_configuration(change({"config": {"ignore": ["ALL"]}}))
    assert await client.diagnostics_of(uri, 0) == []


async def test_settings_that_are_asked_for(client: Client):
    uri = "file:///t/train.py"
    client.set_configuration({"config": {"ignore": ["detached-loss"]}}, section="gradls")
    await client.begin("vscode")
    client.open(uri, DETACHED)
    assert await client.diagnostics_of(uri, 0) == []
    client.set_configuration({"config": {}}, section="gradls")
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    assert len(await client.diagnostics_of(uri, 1)) == 1


@pytest.mark.parametrize("preset", ["vscode", "neovim", "plain"])
async def test_mistakes_in_the_settings_are_told_once(client: Client, tmp_path: Path, preset: str):
    options = {
        "config": {"severity": "high", "ignor": [], "select": ["detached-los"]},
        "hints": "cut",
        "confg": {},
        "exclude": ["a"],
        "python": 3,
        "serverPath": "of the client",
    }
    await client.begin(preset, folder=tmp_path, options=options)
    for name in ("one.py", "two.py"):
        uri = uri_of(tmp_path / name)
        client.open(uri, DETACHED)
        await client.diagnostics_of(uri)
    told = [message.message for message in client.messages]
    for mistake in (
        "`severity` must be a table",
        "unknown key `ignor`; did you mean `ignore`?",
        "no rule is called `detached-los`; did you mean `detached-loss`?",
        "`hints` must be one of off, cuts, all, not `'cut'`; did you mean `cuts`?",
        "unknown key `confg`; did you mean `config`?",
        "`exclude` belongs into `config`",
        "`python` must be the path of an interpreter",
    ):
        assert len([message for message in told if f"editor settings: {mistake}" in message]) == 1
    assert not any("serverPath" in message for message in told)


async def test_what_others_set_is_no_mistake(client: Client):
    """Some clients send all settings that there are, and empty ones where nothing is set."""
    await client.begin(
        options={"python": "", "hints": "", "config": {"target-torch": "", "select": [], "severity": None}}
    )
    others = {"python": {"analysis": 1}, "pylsp": {"configSource": 1}, "hint": 2}
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams(others))
    client.open("file:///t/train.py", DETACHED)
    assert len(await client.diagnostics_of("file:///t/train.py")) == 1
    assert client.messages == []


async def test_folders_that_come_and_go(client: Client, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "pyproject.toml").write_text(IGNORING)
    await client.begin(folder=first)
    uri = "untitled:Untitled-1"
    client.open(uri, DETACHED)
    assert len(await client.diagnostics_of(uri)) == 1
    old, new = (types.WorkspaceFolder(uri_of(folder), folder.name) for folder in (first, second))
    event = types.WorkspaceFoldersChangeEvent(added=[new], removed=[old])
    client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    assert await client.diagnostics_of(uri, 0) == []


@pytest.mark.parametrize("options", [None, [], "x", {"config": [1]}, {"python": 1}, {"trusted": "yes"}, {"gradls": 3}])
async def test_options_that_make_no_sense(client: Client, options: object):
    uri = "file:///t/train.py"
    await client.begin(options=options)
    client.open(uri, DETACHED)
    assert len(await client.diagnostics_of(uri)) == 1


async def test_nothing_is_registered_with_a_client_that_cannot(client: Client):
    await client.begin("neovim")
    client.open("file:///t/train.py", DETACHED)
    await client.diagnostics_of("file:///t/train.py")
    assert client.registrations == {}


async def test_without_a_watcher_a_changed_configuration_counts_after_the_next_save(client: Client, tmp_path: Path):
    await client.begin("plain", folder=tmp_path)
    uri = uri_of(tmp_path / "train.py")
    client.open(uri, DETACHED)
    assert len(await client.diagnostics_of(uri)) == 1
    (tmp_path / "pyproject.toml").write_text(IGNORING)
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))
    assert await client.diagnostics_of(uri, 0) == []
