"""Findings that need to know what an imported name is: they come later, and nothing waits for them."""

import os
import sys
import venv
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client

# Only who looks into the installed package knows that `m` has parameters.
COMMON = "from torch import nn as nn\n"
TRAIN = """\
import torch
from common import nn

m = nn.Linear(3, 1)
loss = torch.tensor([m(torch.randn(3)).sum()]).sum()
loss.backward()
"""
CODE = "GRD102"
# A server that looks up no name until a file is there.
PATIENT = """\
import pathlib, sys, time
from gradls.resolve.resolver import Resolver
resolve_now = Resolver.resolve_now
def held_up(self, questions, near):
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return resolve_now(self, questions, near)
Resolver.resolve_now = held_up
from gradls.cli.main import main
sys.exit(main(["server"]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    packages = folder / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (packages / "common.py").write_text(COMMON)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With no answers from earlier runs."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path / "cache")}


def uri_of(path: Path) -> str:
    uri = from_fs_path(str(path))
    assert uri is not None
    return uri


async def codes(client: Client, uri: str, wanted: list[str]) -> None:
    """Wait until the newest version of `uri` has diagnostics of these codes."""
    while [found.code for found in await client.diagnostics_of(uri)] != wanted:
        await client.news()


def published(client: Client, uri: str) -> list[tuple[int | None, bool]]:
    """The versions that were published, and whether the finding was among what was."""
    return [
        (params.version, CODE in [found.code for found in params.diagnostics])
        for params in client.published
        if params.uri == uri
    ]


async def test_a_finding_arrives_when_the_name_is_known(client: Client, folder: Path, environment: dict[str, str]):
    uri = uri_of(folder / "train.py")
    await client.begin("older", folder=folder, environment=environment)
    client.open(uri, TRAIN)
    await codes(client, uri, [CODE])
    assert published(client, uri)[0] == (1, False)
    assert published(client, uri)[-1] == (1, True)
    # What is known now is known at once.
    client.edit(uri, "import torch\n", "import torch\n\n")
    await client.diagnostics_of(uri)
    assert published(client, uri)[-1] == (2, True)
    assert (2, False) not in published(client, uri)


async def test_edits_do_not_wait_for_names(client: Client, folder: Path, environment: dict[str, str], tmp_path: Path):
    uri = uri_of(folder / "train.py")
    go = tmp_path / "go"
    command = [sys.executable, "-c", PATIENT, str(go)]
    await client.begin("older", folder=folder, environment=environment, command=command)
    client.open(uri, TRAIN)
    await client.diagnostics_of(uri)
    for _ in range(10):
        client.edit(uri, "import torch\n", "import torch\n# typing\n")
        await client.diagnostics_of(uri)
    assert published(client, uri) == [(version, False) for version in range(1, 12)]
    go.touch()
    await codes(client, uri, [CODE])


async def test_an_imported_file_that_changes(client: Client, folder: Path, environment: dict[str, str]):
    uri = uri_of(folder / "train.py")
    common = folder / "common.pyi"
    common.write_text(COMMON)
    await client.begin("older", folder=folder, environment=environment)
    client.open(uri, TRAIN)
    await codes(client, uri, [CODE])
    common.write_text("class nn:\n    Linear = print\n")
    change = types.FileEvent(uri_of(common), types.FileChangeType.Changed)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
    while CODE in [found.code for found in await client.diagnostics_of(uri)]:
        await client.news()


@pytest.fixture
def marker(folder: Path) -> Path:
    """A file that is made when the interpreter of the project's environment is run."""
    marker = folder / "ran"
    home = folder / ".venv"
    venv.create(home, symlinks=os.name != "nt")
    for packages in [*home.glob("lib/python3*/site-packages"), *home.glob("Lib/site-packages")]:
        (packages / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    return marker


@pytest.mark.parametrize("trusted", [False, True])
async def test_the_workspaces_interpreter_is_run_only_if_trusted(
    client: Client, folder: Path, environment: dict[str, str], marker: Path, trusted: bool
):
    uri = uri_of(folder / "train.py")
    await client.begin("older", folder=folder, options={"trusted": trusted}, environment=environment)
    client.open(uri, TRAIN)
    await codes(client, uri, [CODE])
    assert marker.exists() is trusted


async def test_settings_cannot_make_a_workspace_trusted(
    client: Client, folder: Path, environment: dict[str, str], marker: Path
):
    """They may come from a file in the workspace itself."""
    uri = uri_of(folder / "train.py")
    await client.begin("older", folder=folder, environment=environment)
    settings = {"gradls": {"trusted": True, "python": str(folder / ".venv")}}
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))
    client.open(uri, TRAIN)
    await codes(client, uri, [CODE])
    assert not marker.exists()
