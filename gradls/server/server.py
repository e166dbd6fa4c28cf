"""The language server: what it answers to which message."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcContentModified, JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from gradls import __version__
from gradls.server import actions
from gradls.server.analysis import Analysis, Analyst, Outdated
from gradls.server.diagnostics import SOURCE, diagnostic
from gradls.server.documents import Documents, label_of
from gradls.server.hover import hover
from gradls.server.positions import Encoding
from gradls.server.protocol import Protocol
from gradls.server.resolvers import Resolvers
from gradls.server.scheduling import Scheduler
from gradls.server.settings import Abilities, Settings, folders_of, paths_of

log = logging.getLogger(__name__)

REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value
WATCHED_FILES = ("**/pyproject.toml", "**/gradls.toml", "**/*.py", "**/*.pyi")


class Server(LanguageServer):
    """gradls for one client. Everything runs on the event loop but the analysis, which has a thread of its own."""

    protocol: Protocol

    def __init__(self) -> None:
        super().__init__("gradls", __version__, types.TextDocumentSyncKind.Incremental, protocol_cls=Protocol)
        self.documents = Documents()
        self.abilities = Abilities()
        self.settings = Settings()
        self.folders: list[Path] = []
        self.resolvers = Resolvers()
        self._told: set[str] = set()
        self.scheduler = Scheduler(self.documents, self._analyst(), self.publish)
        self._register()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Nothing for the user, who can do nothing about it. Failures are in the log already."""
        log.debug("%s: %s", getattr(source, "__name__", source), error)

    def publish(self, analysis: Analysis) -> None:
        """Send the diagnostics of an analysis."""
        snapshot, encoding = analysis.snapshot, self.documents.encoding
        uri_of = self.documents.uri_of
        found = [diagnostic(finding, encoding, self.abilities, uri_of) for finding in analysis.findings]
        self.protocol.publish(snapshot.uri, snapshot.version, found)
        for problem in analysis.problems:
            if problem not in self._told:
                self._told.add(problem)
                self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"gradls: {problem}"))

    def close(self) -> None:
        """End what outlives the connection."""
        self.resolvers.close()

    def _analyst(self) -> Analyst:
        return Analyst(self.folders, self.settings, self.resolvers.for_root)

    def _register(self) -> None:
        self.protocol.quick = {
            types.TEXT_DOCUMENT_DID_OPEN: self._did_open,
            types.TEXT_DOCUMENT_DID_CHANGE: self._did_change,
            types.TEXT_DOCUMENT_DID_CLOSE: self._did_close,
        }
        features: dict[str, Callable[..., Any]] = {
            types.INITIALIZE: self._initialize,
            types.INITIALIZED: self._initialized,
            types.TEXT_DOCUMENT_HOVER: self._hover,
            types.TEXT_DOCUMENT_DID_SAVE: self._did_save,
            types.WORKSPACE_DID_CHANGE_CONFIGURATION: self._did_change_configuration,
            types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self._did_change_watched_files,
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self._did_change_folders,
        }
        for method, handler in features.items():
            self.feature(method)(_plain(handler))
        self.command(actions.COMMAND)(_plain(self._apply))

    # -- life

    def _initialize(self, params: types.InitializeParams) -> None:
        self.abilities = Abilities.of(params.capabilities)
        chosen = types.PositionEncodingKind(self.workspace.position_encoding)
        self.documents.encoding = cast(Encoding, chosen.value)
        self.settings = Settings.of_initialize(params.initialization_options)
        self.folders = folders_of(params)
        self._register_code_actions()
        self._refresh()

    def _register_code_actions(self) -> None:
        # The options may only be given to a client that knows action literals.
        options = None
        if self.abilities.code_action_literals:
            options = types.CodeActionOptions(list(actions.KINDS), resolve_provider=self.abilities.resolves_edits)
        elif not self.abilities.applies_edits:
            return
        self.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)(_plain(self._code_action))
        if self.abilities.resolves_edits:
            self.feature(types.CODE_ACTION_RESOLVE)(_plain(self._resolve))

    async def _initialized(self, params: types.InitializedParams) -> None:
        registrations = []
        if self.abilities.registers_watchers:
            watchers = [types.FileSystemWatcher(pattern) for pattern in WATCHED_FILES]
            options: object = types.DidChangeWatchedFilesRegistrationOptions(watchers)
            method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
            registrations.append(types.Registration("gradls-files", method, options))
        if self.abilities.registers_configuration:
            options = types.DidChangeConfigurationRegistrationOptions(section=SOURCE)
            method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
            registrations.append(types.Registration("gradls-settings", method, options))
        if registrations:
            try:
                await self.client_register_capability_async(types.RegistrationParams(registrations))
            except JsonRpcException as error:
                log.warning("the client does not register what it says it does: %s", error)
        await self._pull_settings()

    # -- texts

    def _did_open(self, params: dict[str, Any]) -> None:
        item = params["textDocument"]
        self.scheduler.touch(self.documents.open(item["uri"], item.get("version"), item["text"]))

    def _did_change(self, params: dict[str, Any]) -> None:
        item = params["textDocument"]
        document = self.documents.change(item["uri"], item.get("version"), params["contentChanges"])
        if document is not None:
            self.scheduler.touch(document)

    def _did_close(self, params: dict[str, Any]) -> None:
        document = self.documents.close(params["textDocument"]["uri"])
        if document is not None:
            self.scheduler.close(document)
            self.protocol.publish(document.uri, None, [])

    # -- settings

    async def _did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        if self.abilities.registers_watchers:
            return
        # Without a watcher what has changed on disk counts at the next save at the latest.
        if await self.scheduler.run(lambda analyst: analyst.is_outdated()):
            self._refresh()
        saved = [label_of(params.text_document.uri)]
        self.scheduler.touch_again(await self.scheduler.run(lambda analyst: analyst.changed_on_disk(saved)))
        await self._look_names_up_again(saved)

    async def _did_change_configuration(self, params: types.DidChangeConfigurationParams) -> None:
        if params.settings:
            self._use(self.settings.updated(params.settings))
        else:
            await self._pull_settings()

    async def _pull_settings(self) -> None:
        """Ask for the section `gradls`; clients that ask to be asked send no settings of their own accord."""
        if not self.abilities.configuration:
            return
        items = [types.ConfigurationItem(section=SOURCE)]
        try:
            answer = await self.workspace_configuration_async(types.ConfigurationParams(items))
        except JsonRpcException as error:
            log.warning("the client does not tell its configuration: %s", error)
            return
        if answer and isinstance(answer[0], Mapping):
            self._use(self.settings.updated({SOURCE: answer[0]}))

    def _use(self, settings: Settings) -> None:
        if settings != self.settings:
            self.settings = settings
            self._refresh()

    async def _did_change_watched_files(self, params: types.DidChangeWatchedFilesParams) -> None:
        paths = [label_of(change.uri) for change in params.changes]
        if any(path.endswith(".toml") for path in paths):
            self._refresh()
        sources = [path for path in paths if not path.endswith(".toml")]
        self.scheduler.touch_again(await self.scheduler.run(lambda analyst: analyst.changed_on_disk(sources)))
        await self._look_names_up_again(sources)

    async def _look_names_up_again(self, paths: list[str]) -> None:
        """Files have changed: what the open ones import from them may be something else now."""
        for resolver, forgotten in self.resolvers.changed(paths).items():
            for document in self.documents:
                questions = forgotten.get(os.path.dirname(document.label))
                if questions:
                    await self.scheduler.ask_again(document, resolver, questions)

    def _did_change_folders(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        removed = paths_of([folder.uri for folder in params.event.removed])
        added = paths_of([folder.uri for folder in params.event.added])
        self.folders = [folder for folder in self.folders if folder not in removed]
        self.folders += [folder for folder in added if folder not in self.folders]
        self._refresh()

    def _refresh(self) -> None:
        """Begin anew with the settings and the configuration files as they are now."""
        self._told.clear()
        self.resolvers.configure(self.settings)
        self.scheduler.restart(self._analyst())

    # -- what the user asks for

    async def _code_action(self, params: types.CodeActionParams) -> list[types.CodeAction | types.Command] | None:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return None
        try:
            analysis = await self.scheduler.current(document)
            offers = list(actions.offers(analysis, params, self.documents.encoding))
            return [action for offer in offers if (action := await self._action(analysis, offer)) is not None]
        except Outdated:
            raise JsonRpcContentModified() from None

    async def _action(self, analysis: Analysis, offer: actions.Offer) -> types.CodeAction | types.Command | None:
        """`offer` in the form that the client understands; None if its edits are due now and cannot be made."""
        token = offer.choice.to_json()
        if not self.abilities.code_action_literals:
            return types.Command(title=offer.title, command=actions.COMMAND, arguments=[token])
        action = types.CodeAction(
            title=offer.title,
            kind=offer.kind,
            diagnostics=self._diagnostics(offer),
            is_preferred=True if offer.preferred else None,
        )
        if self.abilities.resolves_edits:
            action.data = token
            return action
        action.edit = await self._edit(analysis, offer.choice)
        return action if action.edit is not None else None

    def _diagnostics(self, offer: actions.Offer) -> list[types.Diagnostic] | None:
        if offer.finding is None:
            return None
        if offer.diagnostic is not None:
            return [offer.diagnostic]
        plain = diagnostic(offer.finding, self.documents.encoding, self.abilities, self.documents.uri_of)
        return [self.protocol._converter.structure(plain, types.Diagnostic)]

    async def _resolve(self, action: types.CodeAction) -> types.CodeAction:
        action.edit = await self._chosen(action.data)
        return action

    async def _apply(self, *arguments: Any) -> None:
        edit = await self._chosen(arguments[0] if arguments else None)
        answer = await self.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label="gradls"))
        if not answer.applied:
            log.warning("the client did not apply an edit: %s", answer.failure_reason)

    async def _chosen(self, data: Any) -> types.WorkspaceEdit:
        """The edit that an action's data stands for, or an error for the client."""
        try:
            choice = actions.Choice.from_json(data)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        document = self.documents.get(choice.uri)
        if document is None or document.revision != choice.revision:
            raise JsonRpcContentModified()
        try:
            edit = await self._edit(await self.scheduler.current(document), choice)
        except Outdated:
            raise JsonRpcContentModified() from None
        if edit is None:
            raise JsonRpcException("this fix cannot be made here", REQUEST_FAILED)
        return edit

    async def _edit(self, analysis: Analysis, choice: actions.Choice) -> types.WorkspaceEdit | None:
        encoding = self.documents.encoding
        edits = await self.scheduler.run(lambda analyst: actions.build(analyst, analysis, choice, encoding))
        if edits is None:
            return None
        if not self.abilities.document_changes:
            return types.WorkspaceEdit(
                changes={self.documents.uri_of(path): changes for path, changes in edits.items()}
            )
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(self.documents.uri_of(path), self._version(path)),
                    changes,
                )
                for path, changes in edits.items()
            ]
        )

    def _version(self, label: str) -> int | None:
        document = self.documents.by_label(label)
        return document.version if document else None

    async def _hover(self, params: types.HoverParams) -> types.Hover | None:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return None
        try:
            analysis = await self.scheduler.current(document)
        except Outdated:
            return None
        return hover(analysis.findings, params.position, self.documents.encoding, self.abilities.markdown)


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` as a function that logs its failures: pygls sets attributes on what it registers, looks at parameters
    and annotations, and does not tell a failure from a refusal."""
    name = method.__name__

    async def asynchronous(*arguments):
        try:
            return await method(*arguments)
        except JsonRpcException:
            raise
        except Exception:
            log.exception("%s failed; please report this", name)
            raise

    def synchronous(*arguments):
        try:
            return method(*arguments)
        except JsonRpcException:
            raise
        except Exception:
            log.exception("%s failed; please report this", name)
            raise

    return asynchronous if asyncio.iscoroutinefunction(method) else synchronous
