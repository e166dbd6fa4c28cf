"""Diagnostics for clients that ask for them: `textDocument/diagnostic` and `workspace/diagnostic/refresh`.

Texts are analysed when they change, as for other clients; a request only waits for that. Everything here runs on the
loop's thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from gradls.server.connection import (
    INVALID_PARAMS,
    REQUEST_FAILED,
    SERVER_CANCELLED,
    Call,
    Connection,
    Refused,
    publication,
)
from gradls.server.documents import label_of

if TYPE_CHECKING:
    from gradls.server.documents import Document, Documents
    from gradls.server.notebooks import Notebooks
    from gradls.server.scheduling import Scheduler
    from gradls.server.settings import Abilities

NOTHING = "[]"


def result_id(label: str, diagnostics: str) -> str:
    """A name for these diagnostics of the document `label`, JSON: another one's, and other ones, have another name,
    whichever server gave it and when."""
    # It is not needed for the first findings, and takes a while to import.
    import hashlib

    return hashlib.blake2b(f"{label}\n{diagnostics}".encode(errors="surrogatepass"), digest_size=12).hexdigest()


def report(uri: str, diagnostics: str, previous: object) -> str:
    """The report that `uri` has `diagnostics`, as JSON both; `previous` is the result id of what the client has."""
    name = result_id(label_of(uri), diagnostics)
    if previous == name:
        return f'{{"kind":"unchanged","resultId":"{name}"}}'
    return f'{{"kind":"full","resultId":"{name}","items":{diagnostics}}}'


class _Waiting(NamedTuple):
    """A call about `uri`, of which the client has the result `previous`, that came while a text had this revision."""

    call: Call
    uri: str
    previous: object
    revision: int


class Pulls:
    """Answers a client that asks. Nothing is published for it, unless it has no other way to hear of what became known
    of a text after it had asked."""

    def __init__(
        self,
        connection: Connection,
        documents: Documents,
        scheduler: Scheduler,
        abilities: Abilities,
        notebooks: Callable[[], Notebooks | None],
        closed_file: Callable[[Call, str, object], None],
    ) -> None:
        """`notebooks` are those that are open, if there were any; `closed_file` answers about what is not open."""
        self._closed_file = closed_file
        self._connection = connection
        self._documents = documents
        self._scheduler = scheduler
        self._abilities = abilities
        self._notebooks = notebooks
        self._waiting: dict[str, list[_Waiting]] = {}
        """By label."""
        self._told: dict[str, tuple[int, str]] = {}
        """By label: what the client was told last, of which revision."""
        self._pushed: set[str] = set()
        self._refresh_wanted = self._refreshing = False

    def ask(self, call: Call, params: Any) -> None:
        """Answer `textDocument/diagnostic` when the diagnostics of the text as it is now are known."""
        item = params.get("textDocument") if isinstance(params, dict) else None
        uri = item.get("uri") if isinstance(item, dict) else None
        if not isinstance(uri, str):
            raise Refused(INVALID_PARAMS, "Invalid Params: textDocument/diagnostic")
        previous = params.get("previousResultId")
        document = self._document(uri)
        if document is None:
            self._closed_file(call, uri, previous)
            return
        waiting = self._waiting.setdefault(document.label, [])
        for older in waiting:
            if older.uri == uri and older.revision != document.revision:
                # Who edits asks again: one answer is enough.
                _cancel(older.call)
        waiting[:] = [older for older in waiting if older.call.is_open]
        waiting.append(_Waiting(call, uri, previous, document.revision))
        self._scheduler.hurry(document)
        self._answer(document)

    def settled(self, document: Document) -> None:
        """`document` was analysed."""
        diagnostics = self._scheduler.known(document)
        told = self._told.get(document.label)
        if document.label in self._waiting:
            self._answer(document)
        elif diagnostics is not None and told is not None and told[0] == document.revision and told[1] != diagnostics:
            self._changed(document, told[1], diagnostics)
        self.refresh()

    def closed(self, document: Document) -> None:
        """`document` is closed."""
        for waiting in self._waiting.pop(document.label, ()):
            _cancel(waiting.call)
        self._told.pop(document.label, None)
        self._push(document, NOTHING)

    def want_refresh(self) -> None:
        """What the client was told may be another answer now."""
        self._refresh_wanted = self._abilities.refreshes_diagnostics
        self.refresh()

    def refresh(self) -> None:
        """Have the client ask again, if it should and there is nothing it would have to wait for."""
        if self._refresh_wanted and not self._refreshing and not self._scheduler.awaits_any:
            self._refresh_wanted, self._refreshing = False, True
            self._connection.ask("workspace/diagnostic/refresh", None, self._refreshed, self._refreshed)

    def _refreshed(self, answer: object = None) -> None:
        self._refreshing = False
        self.refresh()

    def _document(self, uri: str) -> Document | None:
        notebooks = self._notebooks()
        return self._documents.get(uri) or (notebooks.of_cell(uri) if notebooks else None)

    def _answer(self, document: Document) -> None:
        """Answer who waits for `document`, if there is something to say."""
        if self._scheduler.awaits(document):
            return
        diagnostics = self._scheduler.known(document)
        for call, uri, previous, _ in self._waiting.pop(document.label, ()):
            if diagnostics is None:
                call.refuse(REQUEST_FAILED, "the analysis failed; see the log")
                continue
            self._push(document, NOTHING)
            self._told[document.label] = document.revision, diagnostics
            notebooks = self._notebooks() if uri != document.uri else None
            shown = notebooks.of_cells(document, diagnostics).get(uri, NOTHING) if notebooks else diagnostics
            call.answer(report(uri, shown, previous))

    def _changed(self, document: Document, old: str, new: str) -> None:
        """Other diagnostics are known of a text than the client was told."""
        if self._abilities.refreshes_diagnostics:
            self._refresh_wanted = True
            return
        told = json.loads(old)
        self._push(document, json.dumps([each for each in json.loads(new) if each not in told]))

    def _push(self, document: Document, diagnostics: str) -> None:
        """Publish what the client has besides what it was told when it asked."""
        if diagnostics == NOTHING and document.label not in self._pushed:
            return
        self._pushed.add(document.label)
        if diagnostics == NOTHING:
            self._pushed.discard(document.label)
        self._connection.write(publication(document.uri, None, diagnostics))


def _cancel(call: Call) -> None:
    call.refuse(SERVER_CANCELLED, "the text is another one now", {"retriggerRequest": False})
