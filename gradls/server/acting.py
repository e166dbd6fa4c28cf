"""Code actions on request: what is offered in the form that the client understands, and what is chosen, done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcContentModified, JsonRpcException, JsonRpcInvalidParams

from gradls.server import action_edits, actions
from gradls.server.actions import DISABLE, REPLACE, Choice, Offer
from gradls.server.capabilities import COMMAND, DOCUMENTATION, QUICK_FIX, action_kinds
from gradls.server.configurations import diagnostic, problems_of
from gradls.server.documents import Document
from gradls.server.requests import Subject
from gradls.server.settings import SOURCE
from gradls.workspace.addresses import rule_address
from gradls.workspace.config_edits import NotPossible

if TYPE_CHECKING:
    from gradls.server.analysis import Analyst
    from gradls.server.features import Features
    from gradls.server.server import Server

log = logging.getLogger(__name__)

REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value

T = TypeVar("T")


def register(features: Features, server: Server, plain: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Have `features` answer these requests; `plain` wraps handlers."""
    acting, abilities = Acting(features, server), features.client.abilities
    features.command(COMMAND)(plain(acting.apply))
    features.command(DOCUMENTATION)(plain(acting.open_documentation))
    options = None
    if abilities.code_action_literals:
        options = types.CodeActionOptions(action_kinds(abilities), resolve_provider=abilities.resolves_edits)
    elif not abilities.applies_edits:
        return
    features.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)(plain(acting.code_action))
    if abilities.resolves_edits:
        features.feature(types.CODE_ACTION_RESOLVE)(plain(acting.resolve))


class Acting:
    """Offers and does. Runs on the event loop of the requests."""

    def __init__(self, features: Features, server: Server) -> None:
        self._features = features
        self._owner = server
        self._client = features.client
        self._abilities = features.client.abilities
        self._pages: Any = None

    # -- offers

    async def code_action(self, params: types.CodeActionParams) -> list[types.CodeAction | types.Command] | None:
        subject = self._features.subject
        if subject is None:
            offers = await self._offers_of_configuration(params)
        else:
            about = subject.document.label, subject.document.uri, subject.revision
            creates, shows = self._abilities.creates_files, self._shows_pages
            offers = await self._features.ask(
                lambda analyst: actions.Menu(analyst, *about, params, creates, shows).offers()
            )
        if offers is None:
            return None
        return [action for offer in offers if (action := await self._action(offer)) is not None]

    @property
    def _shows_pages(self) -> bool:
        return self._runs_documentation or self._abilities.shows_documents

    @property
    def _runs_documentation(self) -> bool:
        return DOCUMENTATION in self._features.settings.commands

    async def _action(self, offer: Offer) -> types.CodeAction | types.Command | None:
        """`offer` in the form that the client understands; None if it cannot be chosen and the client cannot say so."""
        if offer.obstacle is not None and not self._abilities.disabled_actions:
            return None
        command = None
        if offer.page is not None:
            command = types.Command(title=offer.title, command=DOCUMENTATION, arguments=[{"code": offer.page}])
        token = offer.choice.to_json() if offer.choice is not None else None
        if not self._abilities.code_action_literals:
            return command or types.Command(title=offer.title, command=COMMAND, arguments=[token])
        action = types.CodeAction(
            title=offer.title,
            kind=offer.kind,
            diagnostics=self._diagnostics(offer),
            is_preferred=True if offer.preferred else None,
            command=command,
        )
        if offer.obstacle is not None:
            action.disabled = types.CodeActionDisabled(offer.obstacle)
        elif offer.choice is not None and self._abilities.resolves_edits:
            action.data = token
        elif offer.choice is not None:
            return await self._with_edit(action, offer.choice)
        return action

    async def _with_edit(self, action: types.CodeAction, choice: Choice) -> types.CodeAction | None:
        reason = "this cannot be done here"
        try:
            action.edit = await self._edit(choice)
        except NotPossible as obstacle:
            reason = str(obstacle)
        if action.edit is None:
            if not self._abilities.disabled_actions:
                return None
            action.disabled, action.is_preferred = types.CodeActionDisabled(reason), None
        return action

    def _diagnostics(self, offer: Offer) -> list[types.Diagnostic] | None:
        if offer.diagnostic is None:
            return None
        if isinstance(offer.diagnostic, types.Diagnostic):
            return [offer.diagnostic]
        return [self._features.protocol._converter.structure(offer.diagnostic, types.Diagnostic)]

    # -- what is chosen

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        if action.data is not None or action.command is None:
            action.edit = await self._chosen(action.data)
        return action

    async def apply(self, *arguments: Any) -> None:
        edit = await self._chosen(arguments[0] if arguments else None)
        answer = await self._features.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label="gradls"))
        if not answer.applied:
            log.warning("the client did not apply an edit: %s", answer.failure_reason)

    async def _chosen(self, data: Any) -> types.WorkspaceEdit:
        """The edit that an action's data stands for, or an error for the client."""
        try:
            choice = Choice.from_json(data)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        try:
            edit = await self._edit(choice)
        except NotPossible as obstacle:
            raise JsonRpcException(str(obstacle), REQUEST_FAILED) from None
        if edit is None:
            raise JsonRpcException("this fix cannot be made here", REQUEST_FAILED)
        return edit

    async def _edit(self, choice: Choice) -> types.WorkspaceEdit | None:
        if choice.does == REPLACE:
            return self._workspace_edit([await self._on_loop(lambda: self._replacement(choice))])
        document = self._owner.documents.get(choice.uri)
        if document is None:
            raise JsonRpcContentModified()
        opened = await self._on_loop(self._opened)
        made = await self._features.ask(
            lambda analyst: action_edits.build(analyst, choice, opened), Subject(document, choice.revision)
        )
        if choice.does == DISABLE:
            self._owner.loop.call(self._owner.expect_configuration)
        return self._workspace_edit(made) if made else None

    def _workspace_edit(self, made: Sequence[action_edits.Edits]) -> types.WorkspaceEdit:
        uri_of = self._uri_of
        if not self._abilities.document_changes:
            return types.WorkspaceEdit(changes={uri_of(each.path): each.edits for each in made})
        changes: list[types.CreateFile | types.TextDocumentEdit] = [
            types.CreateFile(uri=uri_of(each.path), options=types.CreateFileOptions(ignore_if_exists=True))
            for each in made
            if each.is_new
        ]
        changes += [
            types.TextDocumentEdit(
                types.OptionalVersionedTextDocumentIdentifier(uri_of(each.path), each.version), list(each.edits)
            )
            for each in made
        ]
        return types.WorkspaceEdit(document_changes=changes)

    def _uri_of(self, path: str) -> str:
        table = self._tables.get(path)
        return table.uri if table is not None else self._client.uri_of(path)

    async def open_documentation(self, *arguments: Any) -> dict[str, Any]:
        """Show the page of a rule: `{"code": ...}`, or its code or name."""
        from gradls.rules.page import record
        from gradls.rules.registry import rules_by_key

        asked = arguments[0] if arguments else None
        key = asked.get("code") if isinstance(asked, Mapping) else getattr(asked, "code", asked)
        rule = rules_by_key().get(str(key))
        if rule is None:
            raise JsonRpcInvalidParams(f"no rule is called {key}")
        uri = rule_address(rule.name) or ""
        is_external = uri.startswith("http")
        if not is_external:
            from gradls.server.pictures import Files

            self._pages = self._pages or Files()
            uri = self._pages.write(str(record(rule)["page"]), f"{rule.name}.md")
        if not self._abilities.shows_documents:
            return {"uri": uri, "shown": False}
        params = types.ShowDocumentParams(uri, external=is_external, take_focus=True)
        shown = await self._features.window_show_document_async(params)
        return {"uri": uri, "shown": shown.success}

    # -- configuration files

    @property
    def _tables(self) -> dict[str, Document]:
        """The open configuration files by label. For the loop's thread, but for their labels and URIs."""
        if not self._owner.has_configurations:
            return {}
        return {document.label: document for document in self._owner.configurations.documents}

    def _opened(self) -> action_edits.Opened:
        return {label: (document.text, document.version) for label, document in self._tables.items()}

    async def _offers_of_configuration(self, params: types.CodeActionParams) -> list[Offer] | None:
        uri, client = params.text_document.uri, self._client

        def document() -> tuple[str, str, int] | None:
            found = self._owner.configurations.documents.get(uri) if self._owner.has_configurations else None
            return (found.label, found.text, found.revision) if found is not None else None

        asked = await self._on_loop(document)
        if asked is None or not actions.is_wanted(QUICK_FIX, params.context.only):
            return None
        label, text, revision = asked
        lines, problems = await self._on_worker(lambda analyst: problems_of(label, text))
        sent = [each for each in params.context.diagnostics if each.source in (None, SOURCE)]
        offers = []
        for problem in problems:
            plain = diagnostic(problem, lines, client)
            about = next((each for each in sent if _is_of(each, plain)), None)
            here = about is not None or (not sent and actions.touch(plain["range"], actions.plain(params.range)))
            if here and problem.instead is not None:
                choice = Choice(REPLACE, uri, revision, span=problem.span, text=problem.instead)
                title = f"Replace by `{problem.instead}`"
                offers.append(Offer(title, QUICK_FIX, choice, about or plain, preferred=True))
        return offers

    def _replacement(self, choice: Choice) -> action_edits.Edits:
        """On the loop's thread."""
        document = self._owner.configurations.documents.get(choice.uri) if self._owner.has_configurations else None
        if document is None or document.revision != choice.revision or choice.span is None or choice.text is None:
            raise JsonRpcContentModified()
        lines, encoding = document.lines, self._client.encoding
        if choice.span.end_line > len(lines):
            raise JsonRpcInvalidParams("not an action of gradls")
        edit = action_edits.text_edit(choice.span, choice.text, lines, encoding)
        return action_edits.Edits(document.label, document.version, [edit])

    async def _on_loop(self, function: Callable[[], T]) -> T:
        """The result of `function`, run on the loop's thread."""
        answer: Future[T] = Future()
        self._owner.loop.call(lambda: _settle(answer, function))
        return await asyncio.wrap_future(answer)

    async def _on_worker(self, job: Callable[[Analyst], T]) -> T:
        """The result of `job`, run on the worker's thread soon."""
        answer: Future[T] = Future()
        self._owner.loop.call(lambda: self._owner.scheduler.do(lambda analyst: _settle(answer, lambda: job(analyst))))
        return await asyncio.wrap_future(answer)


def _is_of(sent: types.Diagnostic, plain: dict[str, Any]) -> bool:
    return sent.message == plain["message"] and actions.touch(actions.plain(sent.range), plain["range"])


def _settle(answer: Future[T], function: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(function())
    except Exception as error:
        answer.set_exception(error)
