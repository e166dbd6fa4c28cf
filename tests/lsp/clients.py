"""A client for the tests: what real editors say they can do, and diagnostics told apart by file and version."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.protocol import default_converter
from pygls.uris import from_fs_path
from pytest_lsp import LanguageClient, client_capabilities
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

SERVER = [sys.executable, "-m", "gradls", "server"]
SECONDS = 120.0
"""How long anything is waited for: a machine may be busy with much else."""

# The codec of each position encoding, and the bytes of a unit.
UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}

PRESET_FILES = Path(__file__).with_name("presets")
# What editors say of which pytest-lsp knows none or an old one only.
VSCODE: dict[str, Any] = json.loads((PRESET_FILES / "vscode.json").read_text())["capabilities"]
HELIX: dict[str, Any] = json.loads((PRESET_FILES / "helix.json").read_text())["capabilities"]


def vscode() -> types.ClientCapabilities:
    return get_converter().structure(VSCODE, types.ClientCapabilities)


def older() -> types.ClientCapabilities:
    """A VS Code that does not ask for diagnostics."""
    capabilities = vscode()
    assert capabilities.text_document is not None
    capabilities.text_document.diagnostic = None
    return capabilities


def neovim() -> types.ClientCapabilities:
    return client_capabilities("neovim@v0.11.0")


def emacs() -> types.ClientCapabilities:
    return client_capabilities("emacs@v29.1")


def helix() -> types.ClientCapabilities:
    return get_converter().structure(HELIX, types.ClientCapabilities)


def minimal() -> types.ClientCapabilities:
    """A client that offers nothing."""
    return types.ClientCapabilities()


def plain() -> types.ClientCapabilities:
    """A client of the first days: no action literals, but it applies edits."""
    return types.ClientCapabilities(workspace=types.WorkspaceClientCapabilities(apply_edit=True))


PRESETS = {
    "vscode": vscode,
    "older": older,
    "neovim": neovim,
    "emacs": emacs,
    "helix": helix,
    "plain": plain,
    "minimal": minimal,
}


class Client(LanguageClient):
    """An editor. `texts` is what its user sees; `encoding` what the server has agreed to."""

    def __init__(self) -> None:
        super().__init__(converter_factory=_converter)
        register_lsp_features(self, {**DEFAULT_CLIENT_FEATURES, **_FEATURES})
        self.encoding = "utf-16"
        self.pulls = False
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.published: list[types.PublishDiagnosticsParams] = []
        self.registrations: dict[str, Any] = {}
        self.refreshed: set[str] = set()
        self.applied: list[types.WorkspaceEdit] = []
        self.opened: list[types.ShowDocumentParams] = []
        self.progressed: dict[int | str, list[Any]] = {}
        self.traced: list[str] = []
        self._news = asyncio.Event()

    async def begin(
        self,
        preset: str = "vscode",
        folder: Path | None = None,
        options: object = None,
        environment: dict[str, str] | None = None,
        others: Sequence[Path] = (),
        command: Sequence[str] = SERVER,
    ) -> types.InitializeResult:
        """Start the server as the editor `preset` does; `environment` are variables besides those there are, `others`
        folders of the workspace besides `folder`."""
        await self.start_io(*command, cwd=folder, env={**os.environ, **(environment or {})})
        uri = from_fs_path(str(folder)) if folder else None
        result = await self.initialize_session(
            types.InitializeParams(
                capabilities=PRESETS[preset](),
                root_uri=uri,
                workspace_folders=[
                    types.WorkspaceFolder(from_fs_path(str(each)), each.name) for each in (folder, *others)
                ]
                if folder
                else None,
                initialization_options=options,
            )
        )
        self.encoding = types.PositionEncodingKind(result.capabilities.position_encoding or "utf-16").value
        self.pulls = result.capabilities.diagnostic_provider is not None
        return result

    async def kill(self) -> None:
        """End the server, if it is still there."""
        if self._server is not None and self._server.returncode is None:
            self._server.kill()

    def open(self, uri: str, text: str, version: int = 1, language: str = "python") -> None:
        self.texts[uri], self.versions[uri] = text, version
        self.text_document_did_open(
            types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, language, version, text))
        )

    def edit(self, uri: str, old: str, new: str) -> int:
        """Replace the one occurrence of `old` by `new`, as an incremental change; the new version."""
        text = self.texts[uri]
        assert text.count(old) == 1
        start = text.index(old)
        area = types.Range(self._position(text, start), self._position(text, start + len(old)))
        self.texts[uri] = text.replace(old, new)
        self.versions[uri] += 1
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.versions[uri], uri),
                [types.TextDocumentContentChangePartial(range=area, text=new)],
            )
        )
        return self.versions[uri]

    def shut(self, uri: str) -> None:
        self.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    async def diagnostics_of(self, uri: str, count: int | None = None) -> list[types.Diagnostic]:
        """The diagnostics for the newest version of `uri`; with `count`, once there are so many."""
        return await asyncio.wait_for(self._diagnostics_of(uri, count), SECONDS)

    async def pull(self, uri: str, previous: str | None = None) -> types.DocumentDiagnosticReport:
        """What the server answers when it is asked about `uri`."""
        document = types.TextDocumentIdentifier(uri)
        return await asyncio.wait_for(
            self.text_document_diagnostic_async(types.DocumentDiagnosticParams(document, "gradls", previous)), SECONDS
        )

    async def _diagnostics_of(self, uri: str, count: int | None) -> list[types.Diagnostic]:
        """Asked for, and again whenever the server says so, if this client does that; else what is published."""
        while self.pulls:
            self._news.clear()
            report = await self.pull(uri)
            pushed = next((list(params.diagnostics) for params in reversed(self.published) if params.uri == uri), [])
            if count in (None, len(report.items) + len(pushed)):
                return [*report.items, *pushed]
            await asyncio.wait_for(self._news.wait(), SECONDS)
        while True:
            for params in reversed(self.published):
                if params.uri == uri:
                    if params.version == self.versions[uri] and count in (None, len(params.diagnostics)):
                        return list(params.diagnostics)
                    break
            await self.news()

    async def told_of(self, uri: str, count: int) -> list[types.Diagnostic]:
        """The diagnostics of `uri`, which need not be open, once there are so many."""
        while True:
            found = next((list(each.diagnostics) for each in reversed(self.published) if each.uri == uri), [])
            if len(found) == count:
                return found
            await self.news()

    async def news(self) -> None:
        """Wait for the next message of any kind that is kept here, or for none if there was one since the last time:
        it may have come together with the answer that was looked at."""
        await asyncio.wait_for(self._news.wait(), SECONDS)
        self._news.clear()

    def heard(self) -> None:
        self._news.set()

    async def actions(
        self,
        uri: str,
        diagnostics: list[types.Diagnostic],
        area: types.Range | None = None,
        only: list[str] | None = None,
    ) -> list[types.CodeAction]:
        """The code actions for `area`, by default that of the first diagnostic."""
        found = await self.text_document_code_action_async(
            types.CodeActionParams(
                types.TextDocumentIdentifier(uri),
                area or diagnostics[0].range,
                types.CodeActionContext(diagnostics, only),
            )
        )
        return list(found or [])

    async def choose(self, uri: str, action: types.CodeAction) -> str:
        """The text after `action`; if the action brings no edit, it is asked for."""
        if action.edit is None:
            action = await self.code_action_resolve_async(action)
        assert action.edit is not None
        return self.edited(uri, action.edit)

    def edited(self, uri: str, edit: types.WorkspaceEdit) -> str:
        """The text of `uri` after `edit`, which touches nothing else."""
        if edit.document_changes is not None:
            (change,) = edit.document_changes
            assert change.text_document.uri == uri
            assert change.text_document.version == self.versions[uri]
            edits = change.edits
        else:
            ((changed, edits),) = edit.changes.items()
            assert changed == uri
        text = self.texts[uri]
        places = [(self._offset(text, e.range.start), self._offset(text, e.range.end), e.new_text) for e in edits]
        for start, end, new in sorted(places, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def marked(self, uri: str, area: types.Range) -> str:
        """The part of the text of `uri` that `area` covers."""
        text = self.texts[uri]
        return text[self._offset(text, area.start) : self._offset(text, area.end)]

    def _position(self, text: str, offset: int) -> types.Position:
        line = text.count("\n", 0, offset)
        codec, size = UNITS[self.encoding]
        before = text[text.rfind("\n", 0, offset) + 1 : offset]
        return types.Position(line, len(before.encode(codec)) // size)

    def _offset(self, text: str, position: types.Position) -> int:
        """The offset of `position` in a text whose lines all end with \\n."""
        codec, size = UNITS[self.encoding]
        lines = text.split("\n")
        line = lines[position.line].encode(codec)
        assert position.character * size <= len(line)
        within = len(line[: position.character * size].decode(codec))
        return sum(len(line) + 1 for line in lines[: position.line]) + within


def _converter() -> Any:
    """As pygls', but an action that runs a command is not taken for a command."""
    converter = default_converter()

    def action(given: Any, _: object) -> types.Command | types.CodeAction:
        is_command = isinstance(given.get("command"), str)
        return converter.structure(given, types.Command if is_command else types.CodeAction)

    converter.register_structure_hook(Union[types.Command, types.CodeAction], action)  # noqa: UP007
    return converter


def _publish(client: Client, params: types.PublishDiagnosticsParams) -> None:
    client.published.append(params)
    client.heard()


def _register(client: Client, params: types.RegistrationParams) -> None:
    client.registrations.update({item.method: item.register_options for item in params.registrations})
    client.heard()


def _apply(client: Client, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
    client.applied.append(params.edit)
    client.heard()
    return types.ApplyWorkspaceEditResult(applied=True)


def _open(client: Client, params: types.ShowDocumentParams) -> types.ShowDocumentResult:
    client.opened.append(params)
    client.heard()
    return types.ShowDocumentResult(success=True)


def _show(client: Client, params: types.ShowMessageParams) -> None:
    client.messages.append(params)
    client.heard()


def _progress(client: Client, params: types.ProgressParams) -> None:
    client.progressed.setdefault(params.token, []).append(params.value)
    client.heard()


def _trace(client: Client, params: types.LogTraceParams) -> None:
    client.traced.append(params.message)
    client.heard()


def _refresh(method: str) -> Any:
    def note(client: Client, *_: object) -> None:
        client.refreshed.add(method)
        client.heard()

    return note


_FEATURES = {
    types.WORKSPACE_INLAY_HINT_REFRESH: _refresh(types.WORKSPACE_INLAY_HINT_REFRESH),
    types.WORKSPACE_CODE_LENS_REFRESH: _refresh(types.WORKSPACE_CODE_LENS_REFRESH),
    types.WORKSPACE_DIAGNOSTIC_REFRESH: _refresh(types.WORKSPACE_DIAGNOSTIC_REFRESH),
    types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS: _publish,
    types.CLIENT_REGISTER_CAPABILITY: _register,
    types.WORKSPACE_APPLY_EDIT: _apply,
    types.WINDOW_SHOW_MESSAGE: _show,
    types.PROGRESS: _progress,
    types.LOG_TRACE: _trace,
    types.WINDOW_SHOW_DOCUMENT: _open,
}
