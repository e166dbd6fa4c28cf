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
from gradls.server import acting, seeing, why
from gradls.server.capabilities import EXPLAIN, PICTURE
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
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self._did_change_folders,
        }
        for method, handler in features.items():
            self.feature(method)(_plain(handler))
        seeing.register(self, _plain)
        acting.register(self, self._owner, _plain)
        why.register(self, self._owner, _plain)
        self.command(PICTURE)(_plain(self._show_picture))
        self.command(EXPLAIN)(_plain(self._explain))

    # -- files

    def _did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        label = label_of(params.text_document.uri)
        self._owner.loop.call(lambda: self._owner.saved(label))

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

    async def _show_picture(self, *arguments: Any) -> dict[str, Any]:
        """The picture, for the client to show; shown at once to a user whose client can only open files."""
        from gradls.server import pictures

        try:
            asked = pictures.Asked.of(arguments)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        uri, line = asked.uri, asked.line
        if self._owner.has_notebooks:
            uri, line = self._owner.notebooks.in_module(uri, line)
        document = self._owner.documents.get(uri)
        if document is None:
            raise JsonRpcInvalidParams(f"{uri} is not open")
        label, revision = document.label, document.revision
        client = self._client
        drawn = await self.ask(
            lambda analyst: pictures.draw(
                analyst.session_of(label, revision), label, line, client.encoding, client.uri_of
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
