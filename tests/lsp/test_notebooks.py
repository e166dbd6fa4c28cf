"""Notebooks: cells as one program, and what is said of it in the right cell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.clients import SECONDS, Client

URI = "file:///t/a%20b/train.ipynb"
IMPORTS = "%matplotlib inline\n!pip install torch\nimport torch\nfrom torch import nn"
MODEL = "%%time\nmodel = nn.Linear(3, 1)\nloss = model(torch.randn(4, 3)).sum()"
LOST = MODEL + ".detach()"
BACKWARD = "loss.backward()"


class Notebook:
    """A notebook in an editor: what its user sees, and the messages about what they do."""

    def __init__(self, client: Client, uri: str = URI) -> None:
        self.client, self.uri, self.version = client, uri, 0
        self.order: list[str] = []
        self.kinds: dict[str, types.NotebookCellKind] = {}
        self.made = 0

    def open(self, *texts: str) -> None:
        """With cells of these texts; one that begins with `# ` followed by a capital letter is in Markdown."""
        cells, items = self._make(texts)
        self.order = [cell.document for cell in cells]
        document = types.NotebookDocument(self.uri, "jupyter-notebook", self.version, cells)
        self.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(document, items))

    def _make(self, texts: Sequence[str]) -> tuple[list[types.NotebookCell], list[types.TextDocumentItem]]:
        cells, items = [], []
        for text in texts:
            self.made += 1
            uri = f"vscode-notebook-cell:/t/a%20b/train.ipynb#W{self.made}sZmlsZQ%3D%3D"
            prose = text.startswith("# ") and text[2:3].isupper()
            kind = types.NotebookCellKind.Markup if prose else types.NotebookCellKind.Code
            cells.append(types.NotebookCell(kind, uri))
            if not prose:
                self.client.texts[uri], self.client.versions[uri] = text, 1
                items.append(types.TextDocumentItem(uri, "python", 1, text))
        return cells, items

    def splice(self, start: int, delete: int, *texts: str) -> None:
        """Cells are removed and made."""
        cells, items = self._make(texts)
        closed = [types.TextDocumentIdentifier(uri) for uri in self.order[start : start + delete]]
        self.order[start : start + delete] = [cell.document for cell in cells]
        array = types.NotebookCellArrayChange(start, delete, cells)
        structure = types.NotebookDocumentCellChangeStructure(array, did_open=items, did_close=closed)
        self._change(types.NotebookDocumentCellChanges(structure=structure))

    def move(self, start: int, to: int) -> None:
        """A cell goes elsewhere: VS Code takes it out and puts it in, without opening or closing anything."""
        uri = self.order.pop(start)
        self.order.insert(to, uri)
        low, high = min(start, to), max(start, to) + 1
        cells = [types.NotebookCell(types.NotebookCellKind.Code, each) for each in self.order[low:high]]
        structure = types.NotebookDocumentCellChangeStructure(
            types.NotebookCellArrayChange(low, high - low, cells), did_open=[], did_close=[]
        )
        self._change(types.NotebookDocumentCellChanges(structure=structure))

    def edit(self, cell: int, old: str, new: str) -> None:
        """Replace the one occurrence of `old` in a cell."""
        client, uri = self.client, self.order[cell]
        text = client.texts[uri]
        assert text.count(old) == 1
        start = text.index(old)
        area = types.Range(client._position(text, start), client._position(text, start + len(old)))
        client.texts[uri] = text.replace(old, new)
        client.versions[uri] += 1
        changes = [types.TextDocumentContentChangePartial(range=area, text=new)]
        content = types.NotebookDocumentCellContentChanges(
            types.VersionedTextDocumentIdentifier(client.versions[uri], uri), changes
        )
        self._change(types.NotebookDocumentCellChanges(text_content=[content]))

    def _change(self, cells: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        identifier = types.VersionedNotebookDocumentIdentifier(self.version, self.uri)
        self.client.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(identifier, types.NotebookDocumentChangeEvent(cells=cells))
        )

    def close(self) -> None:
        identifiers = [types.TextDocumentIdentifier(uri) for uri in self.order]
        self.client.notebook_document_did_close(
            types.DidCloseNotebookDocumentParams(types.NotebookDocumentIdentifier(self.uri), identifiers)
        )

    async def found(self, cell: int, count: int | None = None) -> list[types.Diagnostic]:
        """The diagnostics of a cell."""
        return await self.client.diagnostics_of(self.order[cell], count)


async def begun(client: Client, *texts: str) -> Notebook:
    await client.begin("older")
    notebook = Notebook(client)
    notebook.open(*texts)
    return notebook


async def empty(client: Client, uri: str) -> None:
    """Wait until nothing is shown any more for `uri`."""

    async def wait() -> None:
        while next(params for params in reversed(client.published) if params.uri == uri).diagnostics:
            await client.news()

    await asyncio.wait_for(wait(), SECONDS)


async def test_the_server_says_that_it_knows_notebooks(client: Client):
    result = await client.begin("older")
    (selector,) = result.capabilities.notebook_document_sync.notebook_selector
    assert selector.notebook == "jupyter-notebook"
    assert [cell.language for cell in selector.cells] == ["python"]


async def test_a_program_over_several_cells(client: Client):
    notebook = await begun(client, "# Title", IMPORTS, LOST, BACKWARD)
    (found,) = await notebook.found(2)
    assert found.code == "GRD101"
    assert client.marked(notebook.order[2], found.range).endswith(".detach()")
    assert found.range.start.line == 2
    last = found.related_information[-1]
    assert last.location.uri == notebook.order[3]
    assert client.marked(last.location.uri, last.location.range) == BACKWARD
    assert await notebook.found(1) == await notebook.found(3) == []
    assert not any(params.uri == URI for params in client.published)


async def test_an_edit_in_a_cell(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    await notebook.found(1, 1)
    notebook.edit(1, ".detach()", "")
    assert await notebook.found(1) == []
    notebook.edit(1, ".sum()", ".sum().detach()")
    (found,) = await notebook.found(1)
    assert client.marked(notebook.order[1], found.range).endswith(".detach()")


async def test_an_edit_above_does_not_touch_other_cells(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    await notebook.found(1, 1)
    before = len(client.published)
    notebook.edit(0, "import torch\n", "import torch\n\n\n")
    await notebook.found(0)
    assert [params.uri for params in client.published[before:]] == [notebook.order[0]]


async def test_cells_are_made_moved_and_removed(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    await notebook.found(1, 1)
    notebook.splice(2, 0, "x = 1\ny = 2", "# Prose")
    await notebook.found(2, 0)
    notebook.edit(1, ".detach()", ".detach() ")
    (found,) = await notebook.found(1, 1)
    assert found.related_information[-1].location.uri == notebook.order[4]
    gone = notebook.order[1]
    notebook.splice(1, 1)
    await empty(client, gone)
    notebook.splice(1, 0, LOST)
    await notebook.found(1, 1)
    notebook.move(4, 1)  # backward() before there is a loss
    await empty(client, notebook.order[2])
    notebook.move(1, 4)
    await notebook.found(1, 1)


async def test_cells_are_merged_and_split(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    await notebook.found(1, 1)
    gone = notebook.order[1:3]
    notebook.splice(1, 2, f"{LOST}\n{BACKWARD}")
    (found,) = await notebook.found(1, 1)
    assert found.related_information[-1].location.uri == notebook.order[1]
    await empty(client, gone[0])
    notebook.splice(1, 1, *LOST.removeprefix("%%time\n").split("\n"), BACKWARD)
    (found,) = await notebook.found(2, 1)
    assert found.range.start.line == 0


async def test_a_fix_in_a_cell(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    uri = notebook.order[1]
    (found,) = await notebook.found(1, 1)
    actions = await client.actions(uri, [found])
    titles = [action.title for action in actions]
    fix = next(action for action in actions if action.title.startswith("Remove"))
    assert fix.diagnostics[0].range == found.range
    assert await client.choose(uri, fix) == MODEL
    ignore = next(action for action in actions if "gnore" in action.title), titles
    assert (await client.choose(uri, ignore[0])).endswith(".detach()  # gradls: ignore[detached-loss]")
    assert not await client.actions(notebook.order[2], [], found.range)


async def test_actions_about_a_notebook_and_its_project(client: Client, tmp_path: Path):
    """All safe fixes when it is saved; those of a rule in all cells; its rules in the project's configuration."""
    (tmp_path / "gradls.toml").write_text("exclude = []\n")
    await client.begin("vscode", folder=tmp_path)
    notebook = Notebook(client, f"file://{tmp_path}/train.ipynb")
    stacked = "loss = torch.tensor([model(torch.randn(3)).sum()]).mean()\nloss.backward()"
    notebook.open(IMPORTS, MODEL, stacked, stacked)
    (found,) = await notebook.found(2, 1)
    everywhere = types.Range(types.Position(0, 0), types.Position(9, 0))
    (action,) = await client.actions(notebook.order[2], [], everywhere, only=["notebook.source.fixAll"])
    assert action.kind == "notebook.source.fixAll.gradls"
    (rule,) = [each for each in await client.actions(notebook.order[2], [found]) if "Fix all" in each.title]
    for chosen in (action, rule):
        edit = (await client.code_action_resolve_async(chosen)).edit
        assert sorted(change.text_document.uri for change in edit.document_changes) == sorted(notebook.order[2:])
    (disable,) = [each for each in await client.actions(notebook.order[2], [found]) if "Disable" in each.title]
    (change,) = (await client.code_action_resolve_async(disable)).edit.document_changes
    assert change.text_document.uri.endswith("/gradls.toml")
    assert "tensor-of-tensors" in change.edits[0].new_text
    kinds = {each.kind for each in await client.actions(notebook.order[2], [], everywhere)}
    assert kinds == {"quickfix", "source.fixAll.gradls"}


async def test_hover_in_a_cell(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    (found,) = await notebook.found(1, 1)
    here = types.HoverParams(types.TextDocumentIdentifier(notebook.order[1]), found.range.start)
    hover = await client.text_document_hover_async(here)
    assert hover.range == found.range
    assert "line 1 of code cell 3: " in hover.contents.value
    there = types.HoverParams(types.TextDocumentIdentifier(notebook.order[0]), types.Position(1, 2))
    assert await client.text_document_hover_async(there) is None


async def test_closing_clears_all_cells(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    await notebook.found(1, 1)
    notebook.close()
    for uri in notebook.order:
        await empty(client, uri)


async def test_two_notebooks_know_nothing_of_each_other(client: Client):
    one = await begun(client, IMPORTS, LOST, BACKWARD)
    other = Notebook(client, "file:///t/other.ipynb")
    other.made = 100
    other.open(IMPORTS, MODEL, BACKWARD)
    await one.found(1, 1)
    await other.found(1, 0)


@pytest.mark.parametrize("preset", ["vscode", "neovim", "plain"])
async def test_cells_as_documents_of_their_own(client: Client, preset: str):
    """Clients without notebooks may open cells as they come."""
    await client.begin(preset)
    uris = [f"vscode-notebook-cell:/t/train.ipynb#W{number}" for number in range(3)]
    program = "\n".join([IMPORTS, LOST.partition("\n")[2], BACKWARD])
    magical = program.replace("loss.backward()", "!nvidia-smi\n%time loss.backward()")
    for uri, text in zip(uris, [IMPORTS, "%%bash\nls | head", magical], strict=True):
        client.open(uri, text)
    (found,) = await client.diagnostics_of(uris[2], 1)
    assert client.marked(uris[2], found.range).endswith(".detach()")
    assert await client.diagnostics_of(uris[0]) == await client.diagnostics_of(uris[1]) == []
    client.edit(uris[2], ".detach()", "")
    assert await client.diagnostics_of(uris[2]) == []
    client.shut(uris[1])


async def test_messages_about_what_is_not_there(client: Client):
    notebook = await begun(client, IMPORTS, LOST, BACKWARD)
    stranger = Notebook(client, "file:///t/stranger.ipynb")
    stranger.order = ["vscode-notebook-cell:/t/stranger.ipynb#W1"]
    client.texts[stranger.order[0]], client.versions[stranger.order[0]] = "x = 1", 1
    stranger.edit(0, "x", "y")
    stranger.close()
    notebook.splice(1, 0, "x = 1")
    await notebook.found(2, 1)


async def test_lenses_hints_and_highlights_are_in_their_cells(client: Client):
    await client.begin("vscode", options={"hints": "all"})
    notebook = Notebook(client)
    optimizer = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)"
    notebook.open(IMPORTS, f"{MODEL}\n{optimizer}", f"x = 1\n{BACKWARD}\noptimizer.step()")
    await notebook.found(2, 0)
    for cell, lines in ((0, set()), (1, set()), (2, {1, 2})):
        params = types.CodeLensParams(types.TextDocumentIdentifier(notebook.order[cell]))
        lenses = await client.text_document_code_lens_async(params)
        assert {lens.range.start.line for lens in lenses or ()} == lines
    item = types.TextDocumentIdentifier(notebook.order[2])
    highlights = await client.text_document_document_highlight_async(
        types.DocumentHighlightParams(item, types.Position(1, 1))
    )
    marked = {client.marked(notebook.order[2], highlight.range) for highlight in highlights or ()}
    assert any(text.startswith("loss") for text in marked)
    area = types.Range(types.Position(0, 0), types.Position(3, 0))
    await client.text_document_inlay_hint_async(types.InlayHintParams(item, area))


async def test_the_picture_for_a_line_of_a_cell(client: Client):
    notebook = await begun(client, IMPORTS, LOST, f"x = 1\n{BACKWARD}")
    asked = types.ExecuteCommandParams("gradls.showPicture", [notebook.order[2], {"line": 1, "character": 0}])
    answer = await client.workspace_execute_command_async(asked)
    places = {box["kind"]: box["location"] for box in answer["boxes"]}
    assert places["cut"]["uri"] == notebook.order[1]
    assert (places["end"]["uri"], places["end"]["range"]["start"]["line"]) == (notebook.order[2], 1)


async def test_the_picture_of_a_cell(client: Client):
    notebook = await begun(client, "# Title", IMPORTS, LOST, f"x = 1\n{BACKWARD}")
    (lens,) = await client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(notebook.order[3]))
    )
    clicked = types.ExecuteCommandParams(lens.command.command, lens.command.arguments)
    asked = types.ExecuteCommandParams("gradls.showPicture", [notebook.order[3], {"line": 1, "character": 0}])
    for params in (clicked, asked):
        answer = await client.workspace_execute_command_async(params)
        assert "(code cell 2 line 3)" in answer["summary"][-1]
        cut = next(box for box in answer["boxes"] if box["kind"] == "cut")
        assert cut["note"].endswith("code cell 2 line 3")
        assert cut["location"]["uri"] == notebook.order[2]
        assert cut["location"]["range"]["start"]["line"] == 2
