"""What is shown for a finding under the pointer."""

from lsprotocol import types

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED

URI = "file:///t/train.py"


async def hovered(client: Client, line: int, character: int) -> types.Hover | None:
    position = types.Position(line, character)
    return await client.text_document_hover_async(types.HoverParams(types.TextDocumentIdentifier(URI), position))


async def test_a_finding_tells_its_story_and_its_rule(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    (found,) = await client.diagnostics_of(URI)
    hover = await hovered(client, 5, 10)
    assert hover.contents.kind == types.MarkupKind.Markdown
    assert hover.range == found.range
    text = hover.contents.value
    assert found.message in text
    assert all(step.message in text for step in found.related_information)
    assert "/rules/grd101_detached_loss.py)" in text


async def test_nothing_is_said_elsewhere(client: Client):
    await client.begin("vscode")
    client.open(URI, DETACHED)
    assert await hovered(client, 0, 0) is None
    assert await hovered(client, 99, 0) is None
