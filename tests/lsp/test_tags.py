"""Code without effect and old spellings are marked as such, where the client can show it."""

import pytest
from lsprotocol import types

from tests.lsp.clients import PRESETS, Client

URI = "file:///t/train.py"
UNNECESSARY, DEPRECATED = types.DiagnosticTag.Unnecessary, types.DiagnosticTag.Deprecated

TAGGED = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.cuda.amp.GradScaler()
for x in torch.randn(9, 4, 3):
    optimizer.zero_grad
    loss = model(x).sum()
    loss.backward()
    nn.utils.clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()
"""


@pytest.mark.parametrize(("preset", "tags"), [("vscode", True), ("neovim", True), ("emacs", True), ("plain", False)])
async def test_tags(client: Client, preset: str, tags: bool):
    await client.begin(preset)
    client.open(URI, TAGGED)
    found = {client.marked(URI, each.range): each.tags for each in await client.diagnostics_of(URI)}
    expected = {
        "optimizer.zero_grad": [UNNECESSARY],
        "torch.cuda.amp.GradScaler": [DEPRECATED],
        "nn.utils.clip_grad_norm": [DEPRECATED],
    }
    for marked, its in expected.items():
        assert list(found[marked] or []) == (its if tags else [])
    assert all(not its for marked, its in found.items() if marked not in expected)


async def test_a_client_that_shows_one_of_them(client: Client, monkeypatch: pytest.MonkeyPatch):
    capabilities = types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(
            publish_diagnostics=types.PublishDiagnosticsClientCapabilities(
                tag_support=types.ClientDiagnosticsTagOptions([DEPRECATED])
            )
        )
    )
    monkeypatch.setitem(PRESETS, "one", lambda: capabilities)
    await client.begin("one")
    client.open(URI, TAGGED)
    tags = [tag for each in await client.diagnostics_of(URI) for tag in each.tags or []]
    assert set(tags) == {DEPRECATED}
