"""What belongs to which project, and what happens to files behind the editor's back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED, STACKED
from tests.lsp.test_names import codes, uri_of
from tests.lsp.test_project import CODE, LOST, NET, TRAIN

CREATED, CHANGED, DELETED = types.FileChangeType.Created, types.FileChangeType.Changed, types.FileChangeType.Deleted
PUSHES_AND_PULLS = pytest.mark.parametrize("preset", ["vscode", "emacs"])


def project(folder: Path, net: str = LOST, ignore: str = "ALWAYS") -> str:
    """A folder with a package, a program that imports it, and a configuration; the program's URI."""
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "net.py").write_text(net)
    (folder / "gradls.toml").write_text(f'ignore = ["{ignore}"]\n')
    return uri_of(folder / "pkg" / "train.py")


TRAIN_PKG = TRAIN.replace("from net", "from pkg.net")


def tell(client: Client, *changes: tuple[Path, types.FileChangeType]) -> None:
    events = [types.FileEvent(uri_of(path), kind) for path, kind in changes]
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(events))


@PUSHES_AND_PULLS
async def test_folders_that_hold_packages_of_the_same_name(client: Client, tmp_path: Path, preset: str):
    """Each file imports what lies in its own folder."""
    one, two = project(tmp_path / "one"), project(tmp_path / "two", net=NET)
    await client.begin(preset, folder=tmp_path / "one", others=[tmp_path / "two"])
    for uri, wanted in ((one, [CODE]), (two, [])):
        client.open(uri, TRAIN_PKG)
        await codes(client, uri, wanted)


@PUSHES_AND_PULLS
async def test_a_file_in_no_folder_belongs_to_its_own_project(client: Client, tmp_path: Path, preset: str):
    outside = project(tmp_path / "outside", ignore="GRD102")
    project(tmp_path / "one", ignore="GRD101")
    await client.begin(preset, folder=tmp_path / "one")
    client.open(outside, TRAIN_PKG + STACKED.replace("loss", "other"))
    await codes(client, outside, [CODE])


async def test_a_file_without_any_folder_belongs_to_its_project(client: Client, tmp_path: Path):
    uri = project(tmp_path / "outside")
    await client.begin("emacs")
    client.open(uri, TRAIN_PKG)
    await codes(client, uri, [CODE])


async def test_each_folder_has_its_own_environment(client: Client, tmp_path: Path):
    """`common` is installed in both, and makes names of PyTorch's known in one only."""
    lines = [
        "import torch",
        "from common import nn",
        "m = nn.Linear(3, 1)",
        "loss = torch.tensor([m(torch.randn(3)).sum()])",
        "loss.sum().backward()",
    ]
    for name, text in (("one", "from torch import nn as nn\n"), ("two", "nn = None\n")):
        packages = tmp_path / name / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
        packages.mkdir(parents=True)
        (tmp_path / name / ".venv" / "pyvenv.cfg").write_text("")
        (packages / "common.py").write_text(text)
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path / "cache")}
    await client.begin("emacs", folder=tmp_path / "one", others=[tmp_path / "two"], environment=environment)
    one, two = (uri_of(tmp_path / name / "train.py") for name in ("one", "two"))
    for uri in (two, one):
        client.open(uri, "\n".join(lines))
    await codes(client, one, ["GRD102"])
    await codes(client, two, ["GRD110"])


@PUSHES_AND_PULLS
@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "untitled:/t/new%20file.py", "git:/t/train.py?%7B%22ref%22%7D"])
async def test_buffers_that_are_no_files(client: Client, tmp_path: Path, preset: str, uri: str):
    (tmp_path / "net.py").write_text(LOST)
    await client.begin(preset, folder=tmp_path)
    client.open(uri, DETACHED)
    await codes(client, uri, [CODE])
    hover = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(5, 24))
    assert "detach" in (await client.text_document_hover_async(hover)).contents.value
    client.edit(uri, ".detach()", "")
    await codes(client, uri, [])
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))
    client.shut(uri)
    client.open(uri, DETACHED)
    await codes(client, uri, [CODE])


async def test_an_untitled_buffer_that_is_saved(client: Client, tmp_path: Path):
    """It is closed, and the file is opened."""
    await client.begin("emacs", folder=tmp_path)
    client.open("untitled:Untitled-1", DETACHED)
    await codes(client, "untitled:Untitled-1", [CODE])
    path = tmp_path / "train.py"
    path.write_text(DETACHED)
    client.shut("untitled:Untitled-1")
    client.open(uri_of(path), DETACHED)
    await codes(client, uri_of(path), [CODE])
    assert not await client.told_of("untitled:Untitled-1", 0)


@PUSHES_AND_PULLS
async def test_files_that_are_made_renamed_and_removed(client: Client, tmp_path: Path, preset: str):
    train, net = uri_of(tmp_path / "train.py"), tmp_path / "net.py"
    await client.begin(preset, folder=tmp_path)
    client.open(train, TRAIN)
    await codes(client, train, [])
    net.write_text(LOST)
    tell(client, (net, CREATED))
    await codes(client, train, [CODE])
    net.rename(tmp_path / "other.py")
    tell(client, (net, DELETED), (tmp_path / "other.py", CREATED))
    await codes(client, train, [])
    client.edit(train, "from net", "from other")
    await codes(client, train, [CODE])
    (tmp_path / "other.py").unlink()
    tell(client, (tmp_path / "other.py", DELETED))
    await codes(client, train, [])


@PUSHES_AND_PULLS
async def test_folders_that_are_renamed_and_removed(client: Client, tmp_path: Path, preset: str):
    """The editor tells of the folder, not of the files in it."""
    train = uri_of(tmp_path / "train.py")
    project(tmp_path / "old")
    await client.begin(preset, folder=tmp_path)
    client.open(train, TRAIN.replace("from net", "from old.pkg.net"))
    await codes(client, train, [CODE])
    (tmp_path / "old").rename(tmp_path / "new")
    tell(client, (tmp_path / "old", DELETED), (tmp_path / "new", CREATED))
    await codes(client, train, [])
    (tmp_path / "new").rename(tmp_path / "old")
    tell(client, (tmp_path / "new", DELETED), (tmp_path / "old", CREATED))
    await codes(client, train, [CODE])


@PUSHES_AND_PULLS
async def test_the_open_file_itself_is_removed_or_written(client: Client, tmp_path: Path, preset: str):
    """What the editor shows counts."""
    path = tmp_path / "train.py"
    path.write_text(DETACHED)
    await client.begin(preset, folder=tmp_path)
    client.open(uri_of(path), DETACHED)
    await codes(client, uri_of(path), [CODE])
    path.write_text("import torch\n")
    tell(client, (path, CHANGED))
    client.edit(uri_of(path), "import torch\n", "import torch\n\n")
    await codes(client, uri_of(path), [CODE])
    path.unlink()
    tell(client, (path, DELETED))
    client.edit(uri_of(path), ".detach()", "")
    await codes(client, uri_of(path), [])


@PUSHES_AND_PULLS
async def test_folders_that_come_and_go_take_what_they_say_with_them(client: Client, tmp_path: Path, preset: str):
    first, second = project(tmp_path / "one", ignore="GRD101"), project(tmp_path / "two", ignore="GRD101")
    await client.begin(preset, folder=tmp_path / "one")
    for uri in (first, second):
        client.open(uri, DETACHED)
        await codes(client, uri, [])
    (tmp_path / "two" / "gradls.toml").unlink()
    two = types.WorkspaceFolder(uri_of(tmp_path / "two"), "two")
    for added, removed, wanted in (([two], [], [CODE]), ([], [two], [])):
        event = types.WorkspaceFoldersChangeEvent(added, removed)
        client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
        await codes(client, second, wanted)
        await codes(client, first, [])
