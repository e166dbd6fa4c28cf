"""Gradients seen in the code: hover, hints, lenses and the path of a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client

URI = "file:///t/train.py"
PROGRAM = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        h = self.encoder(x).detach()
        return self.head(h)


model = Net()
model.head.bias.requires_grad_(False)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(8, 4)
loss = model(x).exp().mean()
loss.backward()
optimizer.step()  # gradls: ignore[detached-loss]
"""


def place(text: str, needle: str, occurrence: int = 1) -> types.Position:
    """The position of a piece of the program."""
    index = -1
    for _ in range(occurrence):
        index = text.index(needle, index + 1)
    return types.Position(text.count("\n", 0, index), index - text.rfind("\n", 0, index) - 1)


async def hovered(client: Client, position: types.Position) -> str:
    found = await client.text_document_hover_async(types.HoverParams(types.TextDocumentIdentifier(URI), position))
    return found.contents.value if found is not None else ""


async def hints(client: Client, first: int = 0, last: int = 1000) -> list[types.InlayHint]:
    area = types.Range(types.Position(first, 0), types.Position(last, 0))
    params = types.InlayHintParams(types.TextDocumentIdentifier(URI), area)
    return list(await client.text_document_inlay_hint_async(params) or [])


def label_of(hint: types.InlayHint) -> str:
    return hint.label if isinstance(hint.label, str) else "".join(part.value for part in hint.label)


async def lenses(client: Client) -> list[types.CodeLens]:
    params = types.CodeLensParams(types.TextDocumentIdentifier(URI))
    return list(await client.text_document_code_lens_async(params) or [])


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_a_tensor_says_what_its_gradient_reaches_and_what_keeps_it_from_the_rest(client: Client, preset: str):
    await client.begin(preset)
    client.open(URI, PROGRAM)
    said = await hovered(client, place(PROGRAM, "loss = "))
    assert "`loss` requires grad." in said
    assert "ot a leaf" in said
    assert "Its gradient reaches the parameter: `model.head.weight`." in said
    cut = "`self.encoder(x).detach()` on line 12 cuts it off"
    assert f"No gradient reaches `model.encoder.weight` and `model.encoder.bias`: {cut}." in said
    assert "Frozen: `model.head.bias`" in said


async def test_a_tensor_without_gradient_says_why(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    data = await hovered(client, place(PROGRAM, "x = torch"))
    assert "**`x` does not require grad.**" in data
    assert "Made on line 19 without `requires_grad=True`" in data
    cut = await hovered(client, place(PROGRAM, "h = "))
    assert "cuts it off" in cut
    assert "Without that its gradient would reach `model.encoder.weight` and `model.encoder.bias`." in cut


async def test_what_backward_needs_of_a_tensor(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    said = await hovered(client, place(PROGRAM, "exp()"))
    assert "`exp` keeps it, its result, for backward." in said


async def test_a_module_and_an_optimizer_say_what_they_hold(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    module = await hovered(client, place(PROGRAM, "model = "))
    assert "`model` is a `Net` with 4 parameters: 3 trained, 1 frozen." in module
    assert "Frozen: `head.bias`" in module
    optimizer = await hovered(client, place(PROGRAM, "optimizer.step"))
    assert "`optimizer` is a `SGD` that steps 4 parameters." in optimizer
    assert "learning rate 0.1" in optimizer


async def test_a_client_that_knows_no_markdown_gets_plain_text(client: Client):
    await client.begin("plain")
    client.open(URI, PROGRAM)
    position = place(PROGRAM, "loss = ")
    found = await client.text_document_hover_async(types.HoverParams(types.TextDocumentIdentifier(URI), position))
    assert found.contents.kind == types.MarkupKind.PlainText
    assert found.contents.value.startswith("`loss` requires grad.\n")


async def test_a_comment_that_silences_a_rule_says_what_the_rule_is(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    said = await hovered(client, place(PROGRAM, "detached-loss"))
    assert "GRD101 detached-loss" in said
    assert await hovered(client, place(PROGRAM, "import torch")) == ""
    assert await hovered(client, types.Position(500, 3)) == ""


async def test_hints_stand_where_a_gradient_is_lost(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    (hint,) = await hints(client)
    assert label_of(hint) == "no gradient: detach"
    assert hint.padding_left
    assert (hint.position.line, hint.position.character) == (11, len("        h"))
    assert "cuts it off" in hint.tooltip.value
    assert await hints(client, 12, 1000) == []


FAR = """\
import torch


def hidden(model, x):
    h = model(x).detach()
    return h


model = torch.nn.Linear(4, 1)
loss = hidden(model, torch.randn(8, 4)).mean()
loss.backward()
"""


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_from_a_finding_to_its_cut_and_back(client: Client, preset: str):
    await client.begin(preset)
    client.open(URI, FAR)
    (found,) = await client.diagnostics_of(URI, 1)
    assert client.marked(URI, found.range) == "model(x).detach()"
    if preset != "emacs":  # which knows no related information
        raises = found.related_information[-1].location.range
        assert client.marked(URI, raises) == "loss.backward()"
    (here,) = [hint.label[0] for hint in await hints(client)]
    assert here.value == "no gradient: detach"
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"gradls": {"hints": "all"}}))
    (there,) = [hint.label[0] for hint in await hints(client) if label_of(hint).startswith("detached-loss")]
    assert there.value == "detached-loss: line 5"
    for part in (here, there):
        assert part.location.uri == URI
        assert part.location.range == found.range
    said = await hovered(client, place(FAR, "loss.backward"))
    assert f"detached-loss on [line 5]({URI}#L5)" in said
    assert found.message in said


async def test_hints_of_all_sorts_and_none(client: Client):
    await client.begin(options={"hints": "all"})
    client.open(URI, PROGRAM)
    labels = {hint.position.line: label_of(hint) for hint in await hints(client)}
    assert labels[19] == "requires grad"
    assert labels[18] == "no gradient"
    assert labels[11] == "no gradient: detach"
    settings = types.DidChangeConfigurationParams({"gradls": {"hints": "off"}})
    client.workspace_did_change_configuration(settings)
    assert await hints(client) == []


async def test_hints_are_asked_for_again_when_the_setting_changes(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    assert len(await hints(client)) == 1
    client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"gradls": {"hints": "off"}}))
    while client.refreshed != {types.WORKSPACE_INLAY_HINT_REFRESH, types.WORKSPACE_CODE_LENS_REFRESH}:
        await client.news()
    assert await hints(client) == []


async def test_a_gradient_that_begins_anew(client: Client):
    await client.begin()
    program = (
        "import torch\n"
        "w = torch.ones(3, requires_grad=True)\n"
        "y = (w * 2).detach().requires_grad_()\n"
        "with torch.no_grad():\n"
        "    z = w * 2\n"
        "i = w.argmax()\n"
    )
    client.open(URI, program)
    labels = [(hint.position.line, label_of(hint)) for hint in await hints(client)]
    assert labels == [
        (2, "gradient starts anew: detach"),
        (4, "no gradient: no_grad"),
        (5, "no gradient: integers"),
    ]


async def test_lenses_count_parameters(client: Client):
    await client.begin("plain")
    client.open(URI, PROGRAM)
    backward, step = await lenses(client)
    assert client.marked(URI, backward.range) == "loss.backward()"
    assert backward.command.title == "gradient reaches 1 of 4 parameters (1 frozen)"
    assert backward.command.command == ""
    assert step.command.title == "steps 1 of 4 parameters"
    details = " ".join(backward.data["details"])
    assert "Not `model.encoder.weight` and `model.encoder.bias`: `self.encoder(x).detach()` on line 12" in details
    assert "Not `model.head.bias`: frozen." in details


@pytest.mark.parametrize(("preset", "options"), [("vscode", None), ("plain", {"commands": ["gradls.showPicture"]})])
async def test_a_lens_opens_the_picture_where_the_client_can(client: Client, preset: str, options: object):
    await client.begin(preset, options=options)
    client.open(URI, PROGRAM)
    backward, step = await lenses(client)
    assert step.command.command == ""
    assert backward.command.command == "gradls.showPicture"
    uri, position, details = backward.command.arguments
    assert uri == URI
    assert (position["line"], position["character"]) == (20, 0)
    assert len(details["details"]) == 2
    clicked = types.ExecuteCommandParams(backward.command.command, backward.command.arguments)
    answer = await client.workspace_execute_command_async(clicked)
    assert backward.command.title.removeprefix("gradient ") in answer["summary"][0]
    assert len(client.opened) == (preset == "vscode")


async def test_of_an_excluded_file_nothing_is_shown(client: Client, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\nexclude = ['train.py']\n")
    (tmp_path / "train.py").write_text(PROGRAM)
    uri = from_fs_path(str(tmp_path / "train.py"))
    await client.begin(folder=tmp_path)
    client.open(uri, PROGRAM)
    assert not await client.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))


async def test_an_edit_of_another_file_has_the_client_ask_again(client: Client, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\n")
    first, _, rest = PROGRAM.partition("model = Net()")
    text = "import torch\nfrom nets import Net\nmodel = Net()" + rest
    (tmp_path / "nets.py").write_text(first)
    nets, uri = (from_fs_path(str(tmp_path / name)) for name in ("nets.py", "train.py"))
    await client.begin(folder=tmp_path)
    client.open(nets, first)
    client.open(uri, text)
    params = types.CodeLensParams(types.TextDocumentIdentifier(uri))
    before, _ = await client.text_document_code_lens_async(params)
    assert before.command.title == "gradient reaches 1 of 4 parameters (1 frozen)"
    await client.diagnostics_of(uri)
    client.refreshed.clear()
    client.edit(nets, ".detach()", "")
    while types.WORKSPACE_CODE_LENS_REFRESH not in client.refreshed:
        await client.news()
    after, _ = await client.text_document_code_lens_async(params)
    assert after.command.title == "gradient reaches 3 of 4 parameters (1 frozen)"


async def test_after_an_edit_hints_and_lenses_are_those_of_the_new_text(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    assert len(await hints(client)) == 1
    client.edit(URI, ".detach()", "")
    assert await hints(client) == []
    backward, step = await lenses(client)
    assert backward.command.title == "gradient reaches 3 of 4 parameters (1 frozen)"
    assert step.command.title == "steps 3 of 4 parameters"
    client.edit(URI, "import torch\n", "import torch\n\n")
    backward, _ = await lenses(client)
    assert backward.range.start.line == 21


async def test_the_path_of_a_gradient(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    params = types.DocumentHighlightParams(types.TextDocumentIdentifier(URI), place(PROGRAM, "loss.backward"))
    found = await client.text_document_document_highlight_async(params)
    marked = [(client.marked(URI, each.range), each.range.start.line, each.kind) for each in found]
    assert ("loss", 19, types.DocumentHighlightKind.Write) in marked
    assert ("loss", 20, types.DocumentHighlightKind.Read) in marked
    assert not any(text in ("h", "x") for text, _, _ in marked)
    nothing = types.DocumentHighlightParams(types.TextDocumentIdentifier(URI), place(PROGRAM, "x = "))
    assert await client.text_document_document_highlight_async(nothing) is None


@pytest.mark.parametrize("preset", ["vscode", "neovim"])
async def test_places_are_counted_as_the_client_counts(client: Client, preset: str):
    await client.begin(preset)
    program = 'import torch\nw = torch.ones(3, requires_grad=True)\ntext = "𝔊𝔊"; é = (w * 2).detach()\n'
    client.open(URI, program)
    (hint,) = await hints(client)
    before = program.splitlines()[2].partition(" = (")[0]
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[client.encoding]
    assert hint.position.character == len(before.encode(codec)) // size
    said = await hovered(client, hint.position)
    assert "`é` does not require grad" in said


async def test_half_typed_text_costs_nothing_else(client: Client):
    await client.begin()
    client.open(URI, PROGRAM)
    assert len(await hints(client)) == 1
    client.edit(URI, "x = torch.randn(8, 4)", "x = torch.randn(8,")
    assert len(await hints(client)) == 1
    assert await hovered(client, place(client.texts[URI], "model = ")) != ""


async def test_a_module_of_another_file(client: Client, tmp_path: Path):
    """What is cut elsewhere is told with the name of the file."""
    first, _, rest = PROGRAM.partition("model = Net()")
    (tmp_path / "nets.py").write_text(first)
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\n")
    text = "import torch\nfrom nets import Net\nmodel = Net()" + rest
    uri = from_fs_path(str(tmp_path / "train.py"))
    (tmp_path / "train.py").write_text(text)
    await client.begin(folder=tmp_path)
    client.open(uri, text)
    params = types.HoverParams(types.TextDocumentIdentifier(uri), place(text, "loss = "))
    found = await client.text_document_hover_async(params)
    assert "on line 12 of nets.py cuts it off" in found.contents.value
