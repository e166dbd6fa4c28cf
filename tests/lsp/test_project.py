"""Findings that follow from other files of the project, and change with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.clients import Client
from tests.lsp.test_names import codes, uri_of

NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 1)

    def forward(self, x):
        return self.out(x)
"""
LOST = NET.replace("self.out(x)", "self.out(x).detach()")
TRAIN = """\
import torch
from net import Net

model = Net()
model(torch.randn(2, 3)).sum().backward()
"""
CODE = "GRD101"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET, encoding="utf-8")
    return path


async def test_a_file_that_is_edited_changes_the_findings_of_those_that_import_it(client: Client, net: Path):
    train = uri_of(net.parent / "train.py")
    await client.begin(folder=net.parent)
    client.open(train, TRAIN)
    await codes(client, train, [])
    client.open(uri_of(net), NET)
    client.edit(uri_of(net), "self.out(x)", "self.out(x).detach()")
    await codes(client, train, [CODE])
    (diagnostic,) = await client.diagnostics_of(train)
    assert diagnostic.range.start.line == 4
    assert diagnostic.related_information[0].location.uri == uri_of(net)
    # What is typed and not saved counts no longer.
    client.shut(uri_of(net))
    await codes(client, train, [])


async def test_a_file_that_is_written_changes_the_findings_of_those_that_import_it(client: Client, net: Path):
    train = uri_of(net.parent / "train.py")
    await client.begin(folder=net.parent)
    client.open(train, TRAIN)
    await codes(client, train, [])
    net.write_text(LOST, encoding="utf-8")
    change = types.FileEvent(uri_of(net), types.FileChangeType.Changed)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
    await codes(client, train, [CODE])
