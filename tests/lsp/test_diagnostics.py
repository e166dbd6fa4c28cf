"""What is published, for which text, and how it counts; `test_pull.py` has what clients ask for."""

import asyncio

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED

MISTAKE = "model(x).sum().detach()"


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs"])
async def test_a_lost_gradient_is_reported_where_it_is(client: Client, preset: str):
    await client.begin(preset)
    client.open("file:///t/train.py", DETACHED)
    (found,) = await client.diagnostics_of("file:///t/train.py")
    assert (found.code, found.source, found.severity) == ("GRD101", "gradls", types.DiagnosticSeverity.Error)
    assert "detach" in client.marked("file:///t/train.py", found.range)
    assert client.texts["file:///t/train.py"].splitlines()[found.range.start.line] == f"loss = {MISTAKE}"


async def test_all_that_the_client_can_show_is_sent(client: Client):
    await client.begin("vscode")
    client.open("file:///t/train.py", DETACHED)
    (found,) = await client.diagnostics_of("file:///t/train.py")
    assert found.code_description.href.endswith("/rules/grd101_detached_loss.py")
    assert found.data["name"] == "detached-loss"
    story = found.related_information
    assert [client.marked(step.location.uri, step.location.range) for step in story][-1].startswith("loss.backward")
    assert all(step.message for step in story)
    assert [step.location.range.start.line for step in story] == sorted(
        step.location.range.start.line for step in story
    )


async def test_what_the_client_cannot_show_is_not_sent(client: Client):
    await client.begin("emacs")
    client.open("file:///t/train.py", DETACHED)
    (found,) = await client.diagnostics_of("file:///t/train.py")
    assert (found.related_information, found.code_description, found.data) == (None, None, None)


@pytest.mark.parametrize(("preset", "encoding"), [("vscode", "utf-16"), ("neovim", "utf-8"), ("emacs", "utf-32")])
async def test_columns_after_emoji_and_combining_characters(client: Client, preset: str, encoding: str):
    result = await client.begin(preset)
    assert result.capabilities.position_encoding == encoding
    text = DETACHED.replace("loss = model(x)", 's = "😀 e\u0301"; loss = model(x)')
    client.open("file:///t/train.py", text)
    (found,) = await client.diagnostics_of("file:///t/train.py")
    marked = client.marked("file:///t/train.py", found.range)
    assert marked.endswith("detach()")
    assert marked in MISTAKE


async def test_an_old_client_counts_in_utf_16(client: Client):
    result = await client.begin("plain")
    assert result.capabilities.position_encoding in (None, "utf-16")


async def test_edits_are_followed(client: Client):
    uri = "file:///t/train.py"
    await client.begin("neovim")
    client.open(uri, DETACHED)
    assert len(await client.diagnostics_of(uri)) == 1
    client.edit(uri, ".detach()", "")
    assert await client.diagnostics_of(uri) == []
    client.edit(uri, "import torch\n", "import torch\n\n# 😀\n")
    client.edit(uri, ".sum()", ".sum().detach()")
    (found,) = await client.diagnostics_of(uri)
    assert found.range.start.line == 7


async def test_closing_clears(client: Client):
    uri = "file:///t/train.py"
    await client.begin("older")
    client.open(uri, DETACHED)
    await client.diagnostics_of(uri)
    client.shut(uri)
    while client.published[-1].diagnostics:
        await client.news()
    assert client.published[-1].uri == uri
    client.open(uri, DETACHED, version=1)
    client.published.clear()
    assert len(await client.diagnostics_of(uri)) == 1


@pytest.mark.parametrize(
    "uri",
    [
        from_fs_path("/t/a b/c+d/üñ#1.py"),
        "file:///t/a%20b/c+d/%c3%bc%c3%b1%231.py",
        "untitled:Untitled-1",
        "file:///t/%E6%A8%A1%E5%9E%8B.py",
    ],
)
async def test_names_of_all_kinds(client: Client, uri: str):
    await client.begin()
    client.open(uri, DETACHED)
    (found,) = await client.diagnostics_of(uri)
    assert all(step.location.uri == uri for step in found.related_information)
    client.edit(uri, ".detach()", "")
    assert await client.diagnostics_of(uri) == []


async def test_several_files_are_kept_apart(client: Client):
    await client.begin()
    uris = [f"file:///t/{number}.py" for number in range(6)]
    for uri in uris:
        client.open(uri, DETACHED)
    client.edit(uris[2], ".detach()", "")
    client.shut(uris[3])
    for uri in (*uris[:2], *uris[4:]):
        assert len(await client.diagnostics_of(uri)) == 1
    assert await client.diagnostics_of(uris[2]) == []


async def test_a_syntax_error_costs_its_own_statement_only(client: Client):
    uri = "file:///t/train.py"
    await client.begin()
    client.open(uri, DETACHED)
    before = await client.diagnostics_of(uri)
    client.edit(uri, "loss.backward()\n", "loss.backward()\nprint(loss.\n")
    assert await client.diagnostics_of(uri) == before


async def test_overtaken_edits_are_not_analysed(client: Client):
    """Of a burst of edits few are analysed, in order, and what is published last is of the last."""
    uri = "file:///t/train.py"
    await client.begin("older")
    client.open(uri, DETACHED + "".join(f"def f{i}(x):\n    return [x + {i} for _ in x]\n\n\n" for i in range(400)))
    await client.diagnostics_of(uri)
    client.published.clear()
    for _ in range(100):
        client.edit(uri, ".detach()", "")
        client.edit(uri, ".sum()", ".sum().detach()")
    assert len(await client.diagnostics_of(uri)) == 1
    versions = [params.version for params in client.published]
    assert versions == sorted(set(versions))
    assert len(versions) < 50


async def test_every_version_published_is_of_its_own_text(client: Client):
    """While somebody types, whatever version is published is right for that version."""
    uri = "file:///t/train.py"
    await client.begin("older")
    client.open(uri, DETACHED)
    expected = {1: 1}
    for _ in range(15):
        expected[client.edit(uri, ".detach()", "")] = 0
        await asyncio.sleep(0.004)
        expected[client.edit(uri, ".sum()", ".sum().detach()")] = 1
        await asyncio.sleep(0.002)
    await client.diagnostics_of(uri)
    assert {params.version: len(params.diagnostics) for params in client.published}.items() <= expected.items()
