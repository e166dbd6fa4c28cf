"""The table in docs/lsp.md has each message of the protocol and says what the server does, which is tried as several
editors."""

from __future__ import annotations

import asyncio
import io
import re
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from gradls.server.features import Features
from gradls.server.loop import Loop
from gradls.server.server import Server
from gradls.server.transport import Writer
from tests.lsp.clients import SECONDS, VSCODE, Client
from tests.lsp.programs import DETACHED
from tests.lsp.test_names import uri_of
from tests.lsp.test_notebooks import BACKWARD, IMPORTS, LOST, Notebook
from tests.lsp.test_seeing import place

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "lsp.md"
ROW = re.compile(r"\| `(?P<method>[^`]+)` \| (?P<direction>[^|]+) \| (?P<supported>yes|no) \| (?P<words>[^|]*) \|")
DIRECTIONS = {"clientToServer": "to the server", "serverToClient": "to the client", "both": "both ways"}
EDITORS = ["vscode", "neovim", "emacs", "helix", "minimal"]

Check = Callable[["Editor"], Awaitable[None]]
CHECKS: dict[Check, tuple[str, ...]] = {}


def rows() -> dict[str, re.Match[str]]:
    return {row["method"]: row for row in map(ROW.match, TABLE.read_text(encoding="utf-8").splitlines()) if row}


def supported() -> set[str]:
    return {method for method, row in rows().items() if row["supported"] == "yes"}


def tries(*methods: str) -> Callable[[Check], Check]:
    """Those of the table that a check tries."""

    def note(check: Check) -> Check:
        CHECKS[check] = (*methods, *CHECKS.get(check, ()))
        return check

    return note


def test_the_table_has_each_message_of_the_protocol():
    directions = {method: DIRECTIONS[types.message_direction(method)] for method in types.METHOD_TO_TYPES}
    assert {method: row["direction"] for method, row in rows().items()} == directions
    assert [method for method, row in rows().items() if row["supported"] == "no" and not row["words"].strip()] == []


async def test_the_table_says_what_the_server_does():
    server = Server(Loop(), Writer(io.BytesIO(), lambda: None))
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": VSCODE}}
    server.connection.receive([begin])
    connection, features = server.connection, Features(server)
    assert features.protocol.fm.commands
    own = {*connection.requests, *connection.calls, *connection.notifications, types.WORKSPACE_EXECUTE_COMMAND}
    handled = {*own, *features.protocol.fm.features} & types.METHOD_TO_TYPES.keys()
    assert {method for method in supported() if types.message_direction(method) == "clientToServer"} == handled
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gradls" / "server").glob("*.py"))
    for method in types.METHOD_TO_TYPES:
        if types.message_direction(method) == "serverToClient":
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.replace("/", "_")).lower()
            said = f'"{method}"' in text or f".{snake}(" in text or f".{snake}_async(" in text
            assert said == (method in supported()), method


def test_all_that_is_supported_is_tried():
    assert {method for methods in CHECKS.values() for method in methods} == supported()


@pytest.mark.parametrize("preset", EDITORS)
async def test_as(tmp_path: Path, preset: str):
    client = Client()
    editor, failed = Editor(client, preset, tmp_path), []
    for check, methods in CHECKS.items():
        try:
            await asyncio.wait_for(check(editor), SECONDS)
        except Exception:
            failed.append(f"{', '.join(methods)}: {traceback.format_exc()}")
    await client.kill()
    await client.stop()
    assert not failed, "\n".join(failed)


class Editor:
    """A preset, its workspace, and the program that it has open."""

    def __init__(self, client: Client, preset: str, folder: Path) -> None:
        self.client, self.preset, self.folder = client, preset, folder
        self.uri = uri_of(folder / "train.py")
        self.closed = uri_of(folder / "closed.py")
        self.result: types.InitializeResult | None = None

    def can(self, *names: str) -> Any:
        """What the client says at this path of its capabilities."""
        found: Any = self.client.capabilities
        for name in names:
            found = getattr(found, name, None)
        return found

    @property
    def offers(self) -> types.ServerCapabilities:
        assert self.result is not None
        return self.result.capabilities

    @property
    def document(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri)

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await self.client.news()


# -- in this order: they are one session


@tries("initialize", "initialized", "window/logMessage")
async def begin(editor: Editor) -> None:
    (editor.folder / "train.py").write_text(DETACHED)
    (editor.folder / "closed.py").write_text(DETACHED)
    wrong = {"config": {"ignor": ["GRD1"]}, "hints": "all"}
    editor.client.set_configuration(wrong, section="gradls")
    editor.result = await editor.client.begin(editor.preset, folder=editor.folder, options=wrong)
    encodings = editor.can("general", "position_encodings") or ["utf-16"]
    assert editor.client.encoding == encodings[0]
    assert editor.result.server_info.name == "gradls"
    while not any("gradls" in each.message for each in editor.client.log_messages):
        await asyncio.sleep(0.01)


@tries("textDocument/didOpen", "textDocument/publishDiagnostics", "textDocument/diagnostic")
async def diagnostics(editor: Editor) -> None:
    client = editor.client
    client.open(editor.uri, DETACHED)
    (found,) = await client.diagnostics_of(editor.uri)
    assert client.marked(editor.uri, found.range).endswith("detach()")
    assert bool(client.published) == (not client.pulls)
    assert client.pulls == (editor.can("text_document", "diagnostic") is not None)
    known = editor.can("text_document", "publish_diagnostics", "related_information")
    assert bool(found.related_information) == bool(known)
    if client.pulls:
        report = await client.pull(editor.uri)
        again = await client.pull(editor.uri, report.result_id)
        assert again.kind == types.DocumentDiagnosticReportKind.Unchanged


@tries("window/showMessage")
async def mistakes_are_told(editor: Editor) -> None:
    await editor.until(lambda: any("ignor" in each.message for each in editor.client.messages))


@tries("client/registerCapability")
async def registrations(editor: Editor) -> None:
    wanted = set()
    if editor.can("workspace", "did_change_watched_files", "dynamic_registration"):
        wanted.add(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    if editor.can("workspace", "did_change_configuration", "dynamic_registration"):
        wanted.add(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    await editor.until(lambda: editor.client.registrations.keys() >= wanted)
    assert set(editor.client.registrations) == wanted


@tries("textDocument/didChange", "$/setTrace", "$/logTrace")
async def edits(editor: Editor) -> None:
    client = editor.client
    client.set_trace(types.SetTraceParams(types.TraceValue.Verbose))
    client.edit(editor.uri, ".detach()", "")
    assert not await client.diagnostics_of(editor.uri)
    client.edit(editor.uri, ".sum()", ".sum().detach()")
    assert len(await client.diagnostics_of(editor.uri)) == 1
    await editor.until(lambda: any("train.py" in message for message in client.traced))
    client.set_trace(types.SetTraceParams(types.TraceValue.Off))


@tries("textDocument/hover")
async def hover(editor: Editor) -> None:
    position = place(editor.client.texts[editor.uri], "detach")
    found = await editor.client.text_document_hover_async(types.HoverParams(editor.document, position))
    formats = editor.can("text_document", "hover", "content_format") or ["plaintext"]
    assert found.contents.kind == ("markdown" if "markdown" in formats else "plaintext")
    assert "detach" in found.contents.value


@tries("textDocument/documentHighlight", "textDocument/codeLens", "textDocument/inlayHint")
async def seeing(editor: Editor) -> None:
    client, document = editor.client, editor.document
    client.edit(editor.uri, ".detach()", "")
    at = place(client.texts[editor.uri], "loss.backward")
    found = await client.text_document_document_highlight_async(types.DocumentHighlightParams(document, at))
    client.edit(editor.uri, ".sum()", ".sum().detach()")
    assert len(found) > 1
    lenses = await client.text_document_code_lens_async(types.CodeLensParams(document))
    assert any("gradient" in lens.command.title for lens in lenses)
    everywhere = types.Range(types.Position(0, 0), types.Position(99, 0))
    hints = await client.text_document_inlay_hint_async(types.InlayHintParams(document, everywhere))
    assert any("detach" in str(hint.label) for hint in hints)


@tries("textDocument/codeAction", "codeAction/resolve", "workspace/applyEdit", "workspace/executeCommand")
async def actions(editor: Editor) -> None:
    client = editor.client
    if not editor.can("text_document", "code_action", "code_action_literal_support"):
        # Without literals and without edits there is nothing to offer.
        assert editor.preset == "minimal"
        assert editor.offers.code_action_provider is None
        return
    found = await client.diagnostics_of(editor.uri)
    offered = await client.actions(editor.uri, found)
    silence = next(action for action in offered if "gnore" in action.title)
    resolves = "edit" in (editor.can("text_document", "code_action", "resolve_support", "properties") or ())
    assert (silence.edit is None) == bool(resolves)
    assert "# gradls: ignore[detached-loss]" in await client.choose(editor.uri, silence)
    if silence.data is not None:
        command = types.ExecuteCommandParams("gradls.applyEdit", [silence.data])
        await client.workspace_execute_command_async(command)
        assert "ignore[detached-loss]" in client.edited(editor.uri, client.applied[-1])


@tries("window/showDocument")
async def pictures(editor: Editor) -> None:
    asked = {"uri": editor.uri, "position": {"line": 6, "character": 0}}
    command = types.ExecuteCommandParams("gradls.showPicture", [asked])
    answer = await editor.client.workspace_execute_command_async(command)
    assert answer["svg"].startswith("<svg ")
    assert bool(editor.client.opened) == bool(editor.can("window", "show_document"))


@tries("workspace/configuration", "workspace/didChangeConfiguration", "workspace/inlayHint/refresh")
@tries("workspace/codeLens/refresh", "workspace/diagnostic/refresh")
async def settings(editor: Editor) -> None:
    client = editor.client
    client.refreshed.clear()

    def change(config: dict[str, Any]) -> None:
        pulled = bool(editor.can("workspace", "configuration"))
        client.set_configuration({"config": config}, section="gradls")
        sent = None if pulled else {"gradls": {"config": config}}
        client.workspace_did_change_configuration(types.DidChangeConfigurationParams(sent))

    change({"severity": {"GRD101": "hint"}})
    wanted = set()
    for method, ability in {
        types.WORKSPACE_INLAY_HINT_REFRESH: "inlay_hint",
        types.WORKSPACE_CODE_LENS_REFRESH: "code_lens",
        types.WORKSPACE_DIAGNOSTIC_REFRESH: "diagnostics",
    }.items():
        if editor.can("workspace", ability, "refresh_support"):
            wanted.add(method)
    await editor.until(lambda: client.refreshed >= wanted)
    while (await client.diagnostics_of(editor.uri))[0].severity != types.DiagnosticSeverity.Hint:
        await asyncio.sleep(0.05)
    change({})
    while (await client.diagnostics_of(editor.uri))[0].severity != types.DiagnosticSeverity.Error:
        await asyncio.sleep(0.05)
    assert client.refreshed == wanted


@tries("workspace/didChangeWatchedFiles", "textDocument/didSave")
async def files(editor: Editor) -> None:
    project = editor.folder / "pyproject.toml"
    for text, count in (('[tool.gradls]\nignore = ["GRD101"]\n', 0), ("", 1)):
        project.write_text(text)
        if editor.client.registrations:
            change = types.FileEvent(uri_of(project), types.FileChangeType.Changed)
            editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        else:
            editor.client.text_document_did_save(types.DidSaveTextDocumentParams(editor.document))
        while len(await editor.client.diagnostics_of(editor.uri)) != count:
            # Who asks and cannot be told to ask again hears of it with the next edit.
            await asyncio.sleep(0.05)


@tries("workspace/didChangeWorkspaceFolders")
async def folders(editor: Editor) -> None:
    second = editor.folder.with_name(editor.folder.name + "-second")
    second.mkdir()
    (second / "gradls.toml").write_text('ignore = ["GRD101"]\n')
    folder = types.WorkspaceFolder(uri_of(second), "second")
    for added, removed in (([folder], []), ([], [folder])):
        event = types.WorkspaceFoldersChangeEvent(added, removed)
        editor.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    uri = uri_of(second / "train.py")
    editor.client.open(uri, DETACHED)
    await editor.client.diagnostics_of(uri)
    assert len(await editor.client.diagnostics_of(editor.uri)) == 1
    editor.client.shut(uri)


@tries(
    "notebookDocument/didOpen", "notebookDocument/didChange", "notebookDocument/didSave", "notebookDocument/didClose"
)
async def notebooks(editor: Editor) -> None:
    if not editor.can("notebook_document"):
        assert editor.offers.notebook_document_sync is None
        return
    notebook = Notebook(editor.client)
    notebook.open(IMPORTS, LOST, BACKWARD)
    assert len(await notebook.found(1)) == 1
    notebook.edit(1, ".detach()", "")
    assert not await notebook.found(1)
    identifier = types.NotebookDocumentIdentifier(notebook.uri)
    editor.client.notebook_document_did_save(types.DidSaveNotebookDocumentParams(identifier))
    cells = [types.TextDocumentIdentifier(uri) for uri in notebook.order]
    editor.client.notebook_document_did_close(types.DidCloseNotebookDocumentParams(identifier, cells))


@tries("workspace/diagnostic", "$/progress", "$/cancelRequest")
async def workspace(editor: Editor) -> None:
    client = editor.client
    if not client.pulls:
        assert editor.offers.diagnostic_provider is None
        return
    params = types.WorkspaceDiagnosticParams([], partial_result_token="part", work_done_token="work")
    assert not (await client.workspace_diagnostic_async(params)).items
    found = {item["uri"]: item for part in client.progressed["part"] for item in part["items"]}
    assert found.keys() == {editor.uri, editor.closed}
    assert found[editor.uri]["version"] == client.versions[editor.uri]
    assert found[editor.closed]["version"] is None
    assert [value["kind"] for value in client.progressed["work"]][:: len(client.progressed["work"]) - 1] == [
        "begin",
        "end",
    ]
    known = [types.PreviousResultId(uri, item["resultId"]) for uri, item in found.items()]
    waiting = asyncio.ensure_future(client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams(known)))
    _, pending = await asyncio.wait([waiting], timeout=0.7)
    assert pending
    identifier = next(iter(client.protocol._request_futures))
    client.cancel_request(types.CancelParams(identifier))
    with pytest.raises(Exception, match="Cancel"):
        await waiting


@tries("window/workDoneProgress/create", "window/workDoneProgress/cancel")
async def progress(editor: Editor) -> None:
    client = editor.client
    if not client.pulls:
        return
    for number in range(60):
        (editor.folder / f"many_{number}.py").write_text(DETACHED)
    client.workspace_did_change_configuration(
        types.DidChangeConfigurationParams({"gradls": {"config": {"ignore": []}}})
    )
    client.edit(editor.uri, "import torch\n", "import torch\n\n")
    asked = asyncio.ensure_future(client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams([])))
    if not editor.can("window", "work_done_progress"):
        await asked
        return

    def token() -> Any:
        own = [token for token in client.progressed if str(token).startswith("gradls")]
        return own[0] if own else None

    await editor.until(lambda: token() or asked.done())
    client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token()))
    with pytest.raises(Exception, match="stopped by the user"):
        await asked
    await editor.until(lambda: client.progressed[token()][-1]["kind"] == "end")


@tries("textDocument/didClose")
async def closing(editor: Editor) -> None:
    client = editor.client
    client.shut(editor.uri)
    if not client.pulls:
        await editor.until(lambda: not client.published[-1].diagnostics and client.published[-1].uri == editor.uri)


@tries("shutdown", "exit")
async def end(editor: Editor) -> None:
    server = editor.client._server
    await editor.client.shutdown_session()
    assert await asyncio.wait_for(server.wait(), SECONDS) == 0
