"""`workspace/diagnostic`: what is found in all files of the workspace, for clients that ask.

The first question is answered when all files have been looked at; a later one waits until there is something that the
client does not have. What is found is sent as it comes, if the client takes that. Everything here runs on the loop's
thread.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradls.server.connection import INVALID_PARAMS, SERVER_CANCELLED, Call, Connection, Params, Refused, notification
from gradls.server.documents import label_of
from gradls.server.progress import Progress
from gradls.server.pull import NOTHING, report, result_id
from gradls.server.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gradls.server.documents import Documents
    from gradls.server.notebooks import Notebooks
    from gradls.server.scanner import Scanner
    from gradls.server.scheduling import Scheduler
    from gradls.server.settings import Abilities, Client, Settings

MOST_AT_ONCE = 50
SECONDS_BETWEEN_PARTS = 0.3
MANY = 20
"""So many files are worth showing progress that the client has not asked for."""


@dataclass(eq=False)
class _Asked:
    """A question, and what the client who asked has: result ids by label, and its own spelling of the URIs."""

    call: Call
    has: dict[str, str]
    uris: dict[str, str]
    token: object
    progress: Progress | None
    is_first: bool
    parts: list[str] = field(default_factory=list)
    is_news: bool = False
    sent: float = 0.0


class WorkspacePull:
    """Answers `workspace/diagnostic`."""

    def __init__(
        self,
        connection: Connection,
        documents: Documents,
        scheduler: Scheduler,
        abilities: Abilities,
        notebooks: Callable[[], Notebooks | None],
        scanner: Scanner,
    ) -> None:
        """`notebooks` are those that are open, if there were any."""
        self._notebooks = notebooks
        self._connection = connection
        self._documents = documents
        self._scheduler = scheduler
        self._abilities = abilities
        self._asked: list[_Asked] = []
        self._has_answered = False
        self._is_stopped = False
        self._own_progress: Progress | None = None
        self._total = 0
        self.sweep = Sweep(scanner, documents, self._listed, self._found, self._finished)

    def ask(self, call: Call, params: Any) -> None:
        """Answer when there is something to say."""
        previous = params.get("previousResultIds") if isinstance(params, dict) else 0
        if not isinstance(previous, (list, type(None))):
            raise Refused(INVALID_PARAMS, "Invalid Params: workspace/diagnostic")
        has: dict[str, str] = {}
        uris: dict[str, str] = {}
        for entry in previous or ():
            uri, value = (entry.get("uri"), entry.get("value")) if isinstance(entry, dict) else (None, None)
            if not isinstance(uri, str) or not isinstance(value, str):
                raise Refused(INVALID_PARAMS, "Invalid Params: workspace/diagnostic")
            has[label_of(uri)], uris[label_of(uri)] = value, uri
        asked = _Asked(call, has, uris, params.get("partialResultToken"), None, not self._has_answered)
        if params.get("workDoneToken") is not None:
            asked.progress = Progress(self._connection, params["workDoneToken"])
        self._asked.append(asked)
        for label, diagnostics in self.sweep.diagnostics.items():
            self._tell(asked, label, diagnostics)
        self.sweep.wanted = not self._is_stopped
        self.sweep.ask_again()

    def restart(self, folders: list[Path], settings: Settings, client: Client) -> None:
        """Everything may be otherwise: settings or folders have changed."""
        self._is_stopped = False
        self.sweep.wanted = bool(self._open_calls())
        self.sweep.restart(folders, settings, client)

    def closed_file(self, call: Call, uri: str, previous: object) -> None:
        """Answer what is found in a file that is not open: of the workspace, else nothing."""
        label = label_of(uri)

        def then(diagnostics: str) -> None:
            call.answer(report(uri, diagnostics, previous))

        if not label.endswith(".py") or (self.sweep.has_listed and not self.sweep.lists(label)):
            then(NOTHING)
        else:
            self.sweep.check(label, then)

    def cancel(self, params: Params) -> None:
        """The user wants no more of it: nothing is looked at until settings change."""
        token = params.get("token")
        shown = [self._own_progress, *(asked.progress for asked in self._asked)]
        if any(progress is not None and progress.token == token for progress in shown):
            self._is_stopped, self.sweep.wanted = True, False
            self._end_progress("stopped")
            for asked in self._asked:
                self._flush(asked)
                asked.call.refuse(SERVER_CANCELLED, "stopped by the user", {"retriggerRequest": False})
            self._asked.clear()

    # -- what is found

    def _open_calls(self) -> list[_Asked]:
        self._asked = [asked for asked in self._asked if asked.call.is_open]
        if not self._asked:
            self.sweep.wanted = False
            self._end_progress("")
        return self._asked

    def _listed(self) -> None:
        self._total = max(self.sweep.left, 1)
        shown = [asked.progress for asked in self._open_calls() if asked.progress is not None]
        if not shown and self._own_progress is None and self.sweep.left >= MANY and self._abilities.shows_progress:
            self._own_progress = Progress.of_server(self._connection)
            shown = [self._own_progress]
        for progress in shown:
            progress.begin("gradls: looking at the workspace")

    def _found(self, label: str) -> None:
        diagnostics = self.sweep.diagnostics[label]
        done = max(self._total - self.sweep.left, 0)
        for asked in self._open_calls():
            self._tell(asked, label, diagnostics)
            if asked.progress is not None:
                asked.progress.report(done, self._total)
        if self._own_progress is not None:
            self._own_progress.report(done, self._total)

    def _finished(self) -> None:
        """All is known: answer who does not have it yet."""
        self._end_progress(f"{self._total} files")
        for asked in self._open_calls():
            opened = self._opened()
            if asked.is_first or asked.is_news:
                for label, (uri, version, diagnostics) in opened.items():
                    if diagnostics is not None:
                        self._tell(asked, label, diagnostics, uri, version)
            for label in list(asked.has):
                if not self.sweep.lists(label) and label not in opened:
                    self._tell(asked, label, NOTHING)
            if asked.is_first or asked.is_news:
                self._answer(asked)
        self._open_calls()

    def _opened(self) -> dict[str, tuple[str, int | None, str | None]]:
        """The URIs, versions and diagnostics of what is open, notebooks as their cells, by label. None for diagnostics
        that are not known yet."""
        found: dict[str, tuple[str, int | None, str | None]] = {}
        notebooks = self._notebooks()
        for document in self._documents:
            diagnostics = self._scheduler.known(document)
            cells = notebooks.of_cells(document, diagnostics or NOTHING) if notebooks else {}
            for uri, of_cell in cells.items():
                version = notebooks.version_of(uri) if notebooks else None
                found[label_of(uri)] = uri, version, of_cell if diagnostics is not None else None
            if not cells:
                found[document.label] = document.uri, document.version, diagnostics
        return found

    # -- what is said

    def _tell(
        self, asked: _Asked, label: str, diagnostics: str, uri: str | None = None, version: int | None = None
    ) -> None:
        """`label` has these diagnostics, unless the client knows that. With its URI and version if it is open."""
        name, has = result_id(label, diagnostics), asked.has.get(label)
        if has == name or (diagnostics == NOTHING and has is None):
            return
        uri = uri or asked.uris.get(label) or self._documents.uri_of(label)
        about: dict[str, Any] = {"uri": uri, "version": version, "kind": "full"}
        if diagnostics == NOTHING:
            del asked.has[label]
        else:
            asked.has[label] = about["resultId"] = name
        asked.parts.append(f'{json.dumps(about)[:-1]},"items":{diagnostics}}}')
        asked.is_news = True
        is_due = len(asked.parts) >= MOST_AT_ONCE or time.monotonic() - asked.sent > SECONDS_BETWEEN_PARTS
        if asked.token is not None and is_due:
            self._flush(asked)

    def _flush(self, asked: _Asked) -> None:
        if asked.parts and asked.token is not None:
            value = f'{{"items":[{",".join(asked.parts)}]}}'
            params = f'{{"token":{json.dumps(asked.token)},"value":{value}}}'
            self._connection.write(notification("$/progress", params))
            asked.parts, asked.sent = [], time.monotonic()

    def _answer(self, asked: _Asked) -> None:
        self._has_answered = True
        self._flush(asked)
        asked.call.answer(f'{{"items":[{",".join(asked.parts)}]}}')

    def _end_progress(self, message: str) -> None:
        for progress in (self._own_progress, *(asked.progress for asked in self._asked)):
            if progress is not None:
                progress.end(message)
        self._own_progress = None
