"""What the server does for who asks: requests and rare notifications, typed by lsprotocol and dispatched by pygls.

It runs on a thread of its own, on an event loop. What is known of a text is asked on the worker's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcContentModified, JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from gradls import __version__
from gradls.server import actions, seeing
from gradls.server.capabilities import COMMAND, EXPLAIN, PICTURE
from gradls.server.documents import label_of
from gradls.server.hover import hover
from gradls.server.protocol import Protocol
from gradls.server.requests import Subject
from gradls.server.settings import Settings, paths_of
from gradls.server.snapshots import Outdated

if TYPE_CHECKING:
    from gradls.server.analysis import Analyst
    from gradls.server.server import Server

log = logging.getLogger(__name__)

REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value

T = TypeVar("T")

_subject: ContextVar[Subject | None] = ContextVar("_subject")


class Features(LanguageServer):
    """The features of `server` beyond diagnostics."""

    protocol: Protocol

    def __init__(self, server: Server) -> None:
        super().__init__("gradls", __version__, types.TextDocumentSyncKind.Incremental, protocol_cls=Protocol)
        self._owner = server
        self.client = self._client = server.client
        self._abilities = server.client.abilities
        self._pictures: Any = None
        self.protocol.set_writer(server.writer)
        self._register()
        # The answer to it is given already.
        deque(self.protocol.lsp_initialize(types.InitializeParams(types.ClientCapabilities())), maxlen=0)

    def receive(self, message: dict[str, Any], subject: Subject | None) -> None:
        """Handle a message about `subject`."""
        if self._owner.has_notebooks:
            self.protocol.outward = self._owner.notebooks.outward
        _subject.set(subject)
        self.protocol.receive(message)

    def cancel(self) -> None:
        """Cancel all requests."""
        for future in list(self.protocol._request_futures.values()):
            future.cancel()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Nothing for the user, who can do nothing about it. Failures are in the log already."""
        log.debug("%s: %s", getattr(source, "__name__", source), error)

    def _register(self) -> None:
        features: dict[str, Callable[..., Any]] = {
            types.TEXT_DOCUMENT_HOVER: self._hover,
            types.TEXT_DOCUMENT_DID_SAVE: self._did_save,
            types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self._did_change_watched_files,
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self._did_change_folders,
        }
        for method, handler in features.items():
            self.feature(method)(_plain(handler))
        seeing.register(self, _plain)
        self.command(COMMAND)(_plain(self._apply))
        self.command(PICTURE)(_plain(self._show_picture))
        self.command(EXPLAIN)(_plain(self._explain))
        options = None
        if self._abilities.code_action_literals:
            options = types.CodeActionOptions(list(actions.KINDS), resolve_provider=self._abilities.resolves_edits)
        elif not self._abilities.applies_edits:
            return
        self.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)(_plain(self._code_action))
        if self._abilities.resolves_edits:
            self.feature(types.CODE_ACTION_RESOLVE)(_plain(self._resolve))

    # -- files

    def _did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        label = label_of(params.text_document.uri)
        self._owner.loop.call(lambda: self._owner.saved(label))

    def _did_change_watched_files(self, params: types.DidChangeWatchedFilesParams) -> None:
        paths = [label_of(change.uri) for change in params.changes]
        self._owner.loop.call(lambda: self._owner.changed_on_disk(paths))

    def _did_change_folders(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        removed = paths_of([folder.uri for folder in params.event.removed])
        added = paths_of([folder.uri for folder in params.event.added])
        self._owner.loop.call(lambda: self._owner.change_folders(removed, added))

    # -- what the user asks for

    @property
    def subject(self) -> Subject | None:
        """What the message is about that is handled now."""
        return _subject.get()

    @property
    def settings(self) -> Settings:
        """What the user has set."""
        return self._owner.settings

    async def ask(self, job: Callable[[Analyst], T], subject: Subject | None = None) -> T:
        """The result of `job`, run on the worker's thread for the text that the message is about.

        An error for the client if the text is another one by then.
        """
        subject = subject or _subject.get()
        assert subject is not None
        document, revision = subject
        answer: Future[T] = Future()
        self._owner.loop.call(lambda: self._owner.scheduler.ask(document, revision, job, answer))
        try:
            return await asyncio.wrap_future(answer)
        except Outdated:
            raise JsonRpcContentModified() from None

    async def _hover(self, params: types.HoverParams) -> types.Hover | None:
        subject = _subject.get()
        if subject is None:
            return None
        label, revision = subject.document.label, subject.revision
        at = (params.position.line, params.position.character)
        client = self._client
        return await self.ask(lambda analyst: hover(analyst.session_of(label, revision), label, at, client))

    async def _code_action(self, params: types.CodeActionParams) -> list[types.CodeAction | types.Command] | None:
        subject = _subject.get()
        if subject is None:
            return None
        about = subject.document.label, subject.document.uri, subject.revision
        offers = await self.ask(lambda analyst: actions.offers(analyst, *about, params))
        return [action for offer in offers if (action := await self._action(offer)) is not None]

    async def _action(self, offer: actions.Offer) -> types.CodeAction | types.Command | None:
        """`offer` in the form that the client understands; None if its edits are due now and cannot be made."""
        token = offer.choice.to_json()
        if not self._abilities.code_action_literals:
            return types.Command(title=offer.title, command=COMMAND, arguments=[token])
        action = types.CodeAction(
            title=offer.title,
            kind=offer.kind,
            diagnostics=self._diagnostics(offer),
            is_preferred=True if offer.preferred else None,
        )
        if self._abilities.resolves_edits:
            action.data = token
            return action
        action.edit = await self._edit(offer.choice)
        return action if action.edit is not None else None

    def _diagnostics(self, offer: actions.Offer) -> list[types.Diagnostic] | None:
        if offer.diagnostic is None:
            return None
        if isinstance(offer.diagnostic, types.Diagnostic):
            return [offer.diagnostic]
        return [self.protocol._converter.structure(offer.diagnostic, types.Diagnostic)]

    async def _resolve(self, action: types.CodeAction) -> types.CodeAction:
        action.edit = await self._chosen(action.data)
        return action

    async def _apply(self, *arguments: Any) -> None:
        edit = await self._chosen(arguments[0] if arguments else None)
        answer = await self.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label="gradls"))
        if not answer.applied:
            log.warning("the client did not apply an edit: %s", answer.failure_reason)

    async def _show_picture(self, *arguments: Any) -> dict[str, Any]:
        """The picture, for the client to show; shown at once to a user whose client can only open files."""
        from gradls.server import pictures

        try:
            asked = pictures.Asked.of(arguments)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        document = self._owner.documents.get(asked.uri)
        if document is None:
            raise JsonRpcInvalidParams(f"{asked.uri} is not open")
        label, revision = document.label, document.revision
        client = self._client
        drawn = await self.ask(
            lambda analyst: pictures.draw(
                analyst.session_of(label, revision), label, asked.line, client.encoding, client.uri_of
            ),
            Subject(document, revision),
        )
        answer = await asyncio.to_thread(pictures.answer, drawn, client.uri_of)
        if not asked.show:
            return answer
        if "html" not in answer:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Info, f"gradls: {answer['message']}"))
        elif self._abilities.shows_documents:
            self._pictures = self._pictures or pictures.Files()
            uri = self._pictures.write(answer["html"])
            shown = await self.window_show_document_async(types.ShowDocumentParams(uri, external=True))
            answer["shown"] = shown.success
        return answer

    def _explain(self, *arguments: Any) -> dict[str, Any]:
        """The rules with these codes or names, each with its page in Markdown; without arguments all, without pages."""
        from gradls.rules.page import record
        from gradls.rules.registry import all_rules, rules_by_key

        if not arguments:
            return {
                "rules": [{key: value for key, value in record(rule).items() if key != "page"} for rule in all_rules()]
            }
        known = {key.lower(): rule for key, rule in rules_by_key().items()}
        unknown = [key for key in arguments if str(key).lower() not in known]
        if unknown:
            raise JsonRpcInvalidParams(f"no rule is called {unknown[0]}")
        return {"rules": [record(known[str(key).lower()]) for key in arguments]}

    async def _chosen(self, data: Any) -> types.WorkspaceEdit:
        """The edit that an action's data stands for, or an error for the client."""
        try:
            choice = actions.Choice.from_json(data)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        edit = await self._edit(choice)
        if edit is None:
            raise JsonRpcException("this fix cannot be made here", REQUEST_FAILED)
        return edit

    async def _edit(self, choice: actions.Choice) -> types.WorkspaceEdit | None:
        document = self._owner.documents.get(choice.uri)
        if document is None:
            raise JsonRpcContentModified()
        made = await self.ask(lambda analyst: actions.build(analyst, choice), Subject(document, choice.revision))
        if not made:
            return None
        uri_of = self._client.uri_of
        if not self._abilities.document_changes:
            return types.WorkspaceEdit(changes={uri_of(path): edits for path, _, edits in made})
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(uri_of(path), version), edits)
                for path, version, edits in made
            ]
        )


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
