"""The language server: texts in, diagnostics out, and what that depends on.

Everything here runs on the loop's thread. Nothing that takes long is imported or done there: analyses have a thread of
their own, and so have the requests, which pygls answers (`features.py`).
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradls import __version__
from gradls.server.capabilities import initialize_result
from gradls.server.connection import INVALID_PARAMS, Connection, Params, Refused, document_in, uris_in
from gradls.server.documents import Document, Documents, label_of
from gradls.server.loop import Loop
from gradls.server.requests import NOTIFICATIONS, Requests, Subject
from gradls.server.resolvers import Resolvers
from gradls.server.scheduling import Scheduler
from gradls.server.settings import ORIGIN, SOURCE, Abilities, Client, Settings, encoding_of, folders_of
from gradls.server.snapshots import Analysis, NameResolver, Snapshot
from gradls.server.telling import Refreshes, Trace, tell_client
from gradls.server.transport import Writer

if TYPE_CHECKING:
    from gradls.flow.names import Question
    from gradls.server.analysis import Analyst
    from gradls.server.configurations import Configurations
    from gradls.server.notebooks import Notebooks
    from gradls.server.pull import Pulls
    from gradls.server.scanner import Scanner
    from gradls.server.workspace_pull import WorkspacePull
    from gradls.workspace.config import Problem

log = logging.getLogger(__name__)

Forgotten = dict[NameResolver, dict[str, "set[Question]"]]
"""Who has forgotten the answers to which questions, by the folder of the files that had asked them."""

WATCHED_FILES = ("**/pyproject.toml", "**/gradls.toml", "**/*.py", "**/*.pyi")
CONFIGURATION = ".toml"
"""How the names of files end that are no programs."""
WARNING = 2
FILES_A_TURN = 20
SECONDS_BETWEEN_LOOKS, SECONDS_OF_LOOKS = 0.5, 300.0


class Server:
    """gradls for one client."""

    def __init__(self, loop: Loop, writer: Writer) -> None:
        self.loop = loop
        self.writer = writer
        self.documents = Documents()
        self.abilities = Abilities()
        self.settings = Settings()
        self.folders: list[Path] = []
        self.resolvers = Resolvers()
        self.process_id: int | None = None
        self.scheduler = Scheduler(loop, self.documents, self._publish, self._ask_again, self._settled)
        self.scanner: Scanner | None = None
        self.requests = Requests(self)
        self.connection = Connection(writer, self._forward, NOTIFICATIONS)
        self.trace = Trace(self.connection)
        self._refresh_requests = Refreshes(self.connection)
        self.pulls: Pulls | None = None
        self.workspace_pull: WorkspacePull | None = None
        self.connection.requests = {"initialize": self._initialize, "shutdown": self._shut_down}
        self.connection.notifications = {
            "initialized": self._initialized,
            "exit": self._exit,
            "textDocument/didOpen": self._did_open,
            "textDocument/didChange": self._did_change,
            "textDocument/didClose": self._did_close,
            "notebookDocument/didOpen": lambda params: self.notebooks.did_open(params),
            "notebookDocument/didChange": lambda params: self.notebooks.did_change(params),
            "notebookDocument/didSave": lambda params: self.saved(label_of(params["notebookDocument"]["uri"])),
            "notebookDocument/didClose": lambda params: self.notebooks.did_close(params),
            "workspace/didChangeConfiguration": self._did_change_configuration,
            "workspace/didChangeWatchedFiles": self._did_change_watched_files,
            "$/setTrace": lambda params: self.trace.set(params.get("value")),
        }
        self._told: set[str] = set()
        self._next_look = self._last_look = 0.0
        self._has_published = False
        self._noticed: Sequence[Problem] = ()
        self.has_notebooks = False
        self.has_configurations = False

    @cached_property
    def notebooks(self) -> Notebooks:
        """The open notebooks. Nothing is imported for them before there are any."""
        from gradls.server.notebooks import Notebooks

        self.has_notebooks = True
        return Notebooks(self.documents, self.scheduler, self.connection, self._closed)

    @cached_property
    def configurations(self) -> Configurations:
        """The configuration files that are open or have mistakes. Nothing is imported for them before there are any."""
        from gradls.server.configurations import Configurations

        self.has_configurations = True
        return Configurations(self.documents, self.scheduler, self.connection, self.client)

    def close(self) -> None:
        """End what outlives the connection."""
        self.resolvers.close()
        if self.scanner is not None:
            self.scanner.close()

    def idle(self, seconds: float) -> None:
        """Nothing has happened for so long."""
        if self._has_published:
            self.requests.begin()
        self.scheduler.rest(seconds)
        if self.workspace_pull is not None:
            self.workspace_pull.sweep.rest()
        now = time.monotonic()
        if self._next_look <= now < self._last_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self.scheduler.do_in_turns([lambda analyst: analyst.is_outdated()], self._refresh_if)

    @property
    def status(self) -> int:
        """That with which the process ends when the client says `exit` or vanishes."""
        return 0 if self.connection.is_shut_down else 1

    @property
    def client(self) -> Client:
        """How the client wants to be told."""
        settings = self.settings
        return Client(
            self.documents.encoding,
            self.abilities,
            self.documents.uri_of,
            settings.rule_pages,
            settings.shows_findings,
        )

    # -- life

    def _initialize(self, params: object) -> dict[str, Any]:
        capabilities = params.get("capabilities") if isinstance(params, Mapping) else None
        if not isinstance(params, Mapping) or not isinstance(capabilities, Mapping):
            raise Refused(INVALID_PARAMS, "Invalid Params: initialize")
        self.connection.is_initialized = True
        process_id = params.get("processId")
        self.process_id = process_id if isinstance(process_id, int) and process_id > 0 else None
        self.trace.set(params.get("trace"))
        self.abilities = Abilities.of(capabilities)
        self.documents.encoding = encoding_of(capabilities, params.get("initializationOptions"))
        self.settings = Settings.of_initialize(params.get("initializationOptions"))
        self.folders = folders_of(params)
        if self.abilities.pulls_diagnostics:
            self._let_pull()
        self._refresh()
        return initialize_result(self.abilities, self.documents.encoding, self.settings.whole_workspace)

    def _say_hello(self) -> None:
        where = ", ".join(map(str, self.folders)) or "no folder"
        python = f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
        log.info("gradls %s (%s) looks at %s", __version__, python, where)

    def _let_pull(self) -> None:
        """The client asks for diagnostics; none are published for it."""
        from gradls.server.pull import Pulls
        from gradls.server.scanner import Scanner
        from gradls.server.workspace_pull import WorkspacePull

        def notebooks() -> Notebooks | None:
            return self.notebooks if self.has_notebooks else None

        about = self.connection, self.documents, self.scheduler, self.abilities
        self.scanner = Scanner(self.loop.call)
        self.workspace_pull = WorkspacePull(*about, notebooks, self.scanner)
        self.pulls = Pulls(*about, notebooks, self.workspace_pull.closed_file)
        self.connection.calls["textDocument/diagnostic"] = self.pulls.ask
        if self.settings.whole_workspace:
            self.connection.calls["workspace/diagnostic"] = self.workspace_pull.ask
        self.connection.notifications["window/workDoneProgress/cancel"] = self.workspace_pull.cancel

    def _initialized(self, params: Params) -> None:
        tell_client(self.connection)
        self._say_hello()
        registrations: list[dict[str, Any]] = []
        if self.abilities.registers_watchers:
            watchers = [{"globPattern": pattern} for pattern in WATCHED_FILES]
            registrations.append(_registration("gradls-files", "workspace/didChangeWatchedFiles", watchers=watchers))
        if self.abilities.registers_configuration:
            method = "workspace/didChangeConfiguration"
            registrations.append(_registration("gradls-settings", method, section=SOURCE))
        if registrations:
            self.connection.ask("client/registerCapability", {"registrations": registrations})
        self._pull_settings()
        self._tell(self.settings.problems)

    def _shut_down(self, params: object) -> None:
        self.connection.is_shut_down = True
        self.connection.cancel_calls()
        self.requests.cancel()

    def _exit(self, params: object) -> None:
        self.loop.stop(self.status)

    def _forward(self, message: dict[str, Any]) -> None:
        """Have pygls handle a message about the text as it is now."""
        if self.has_notebooks:
            message = self.notebooks.inward(message)
        params = message.get("params")
        item = params.get("textDocument") if isinstance(params, dict) else None
        uri = item.get("uri") if isinstance(item, dict) else None
        document = self.documents.get(uri) if isinstance(uri, str) else None
        self.requests.receive(message, Subject(document, document.revision) if document is not None else None)

    # -- texts

    def _did_open(self, params: Params) -> None:
        item = document_in(params)
        if not isinstance(item.get("text"), str):
            raise Refused(INVALID_PARAMS, "Invalid Params: textDocument/didOpen without a text")
        if item["uri"].endswith(CONFIGURATION):
            self.configurations.did_open(params)
            return
        self.scheduler.touch(self.documents.open(item["uri"], item.get("version"), item["text"]))

    def _did_change(self, params: Params) -> None:
        item = document_in(params)
        if not isinstance(params.get("contentChanges"), list):
            raise Refused(INVALID_PARAMS, "Invalid Params: textDocument/didChange without changes")
        if item["uri"].endswith(CONFIGURATION):
            self.configurations.did_change(params)
            return
        document = self.documents.change(item["uri"], item.get("version"), params["contentChanges"])
        if document is not None:
            self.scheduler.touch(document)

    def _did_close(self, params: Params) -> None:
        uri = document_in(params)["uri"]
        if uri.endswith(CONFIGURATION):
            self.configurations.did_close(params)
            return
        document = self.documents.close(uri)
        if document is not None:
            self.scheduler.close(document)
            self._closed(document)
            if self.pulls is None:
                self.connection.notify("textDocument/publishDiagnostics", {"uri": document.uri, "diagnostics": []})

    def _closed(self, document: Document) -> None:
        if self.pulls is not None:
            self.pulls.closed(document)
        self._edited(document)

    def _settled(self, document: Document) -> None:
        if self.pulls is not None:
            self.pulls.settled(document)
            if document.is_typed_in:
                self._edited(document)

    def _edited(self, document: Document) -> None:
        """Closed files may look at this text, which is another one than it was."""
        if self.workspace_pull is not None:
            self.workspace_pull.sweep.edited(document.label)

    def _publish(self, snapshot: Snapshot, analysis: Analysis) -> None:
        if self.pulls is not None:
            pass
        elif snapshot.cells is None:
            self.connection.write(analysis.message)
        else:
            self.notebooks.publish(snapshot, analysis.diagnostics)
        self._has_published = True
        self.trace.analysed(snapshot, analysis)
        if analysis.problems is not self._noticed:
            self._noticed = analysis.problems
            self.notice(analysis.problems)

    def notice(self, problems: Sequence[Problem]) -> None:
        """What is wrong with the configuration: told in the files where it stands, or as a message where it stands in
        none."""
        if any(problem.file is not None for problem in problems):
            self.configurations.notice(problems)
        self._tell(f"{ORIGIN}: {problem.message}" for problem in problems if problem.file is None)

    def _tell(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            if sentence not in self._told:
                self._told.add(sentence)
                self.connection.notify("window/showMessage", {"type": WARNING, "message": f"gradls: {sentence}"})

    # -- settings and files

    def _did_change_configuration(self, params: Params) -> None:
        if params.get("settings"):
            self._use(self.settings.updated(params["settings"]))
        else:
            self._pull_settings()

    def _pull_settings(self) -> None:
        """Ask for the section `gradls`; clients that ask to be asked send no settings of their own accord."""
        if self.abilities.configuration:
            folders = list(self.folders) if len(self.folders) > 1 else []
            items = [{"scopeUri": self.documents.uri_of(str(folder)), "section": SOURCE} for folder in folders]
            self.connection.ask(
                "workspace/configuration",
                {"items": [{"section": SOURCE}, *items]},
                lambda answer: self._use(self.settings.pulled(answer, folders)),
            )

    def _use(self, settings: Settings) -> None:
        if settings != self.settings:
            self.settings = settings
            self._told.clear()
            self._tell(settings.problems)
            self._start_over()

    def _ask_again(self) -> None:
        """What the client has asked about texts is another answer now, though they are the same."""
        if self.abilities.refreshes_hints:
            self._refresh_requests.send("workspace/inlayHint/refresh")
        if self.abilities.refreshes_lenses:
            self._refresh_requests.send("workspace/codeLens/refresh")

    def _refresh(self) -> None:
        """Begin anew with the settings and the configuration files as they are now."""
        folders, settings, client = list(self.folders), self.settings, self.client

        def make() -> Analyst:
            from gradls.server.analysis import Analyst

            self.resolvers.configure(settings)
            return Analyst(folders, settings, client, self.resolvers.for_root)

        self.scheduler.restart(make)
        if self.workspace_pull is not None:
            self.workspace_pull.restart(folders, settings, client)
        if self.has_configurations:
            self.configurations.look_again()

    def _start_over(self) -> None:
        """As `_refresh`; and what the client shows may be another by now."""
        self._refresh()
        self._ask_again()

    def change_folders(self, removed: list[Path], added: list[Path]) -> None:
        """Folders of the workspace come and go."""
        self.folders = [folder for folder in self.folders if folder not in removed]
        self.folders += [folder for folder in added if folder not in self.folders]
        self._start_over()
        self._pull_settings()

    def saved(self, label: str) -> None:
        """A document was saved: without a watcher what has changed on disk counts now at the latest. Nobody watches a
        configuration that lies above the folders of the workspace."""
        self.scheduler.do_in_turns([lambda analyst: analyst.is_outdated()], self._refresh_if)
        if not self.abilities.registers_watchers:
            self.scheduler.do_in_turns([lambda analyst: [label, *analyst.looked_at()]], self.changed_on_disk)
            if self.workspace_pull is not None:
                self.workspace_pull.sweep.look_around()

    def expect_configuration(self) -> None:
        """The user is about to change the configuration: who has no watcher hears of it when it is saved all the same,
        if that is soon."""
        if not self.abilities.registers_watchers:
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            self._last_look = self._next_look + SECONDS_OF_LOOKS

    def _refresh_if(self, outdated: bool) -> None:
        if outdated:
            self._last_look = 0.0
            self._start_over()

    def _did_change_watched_files(self, params: Params) -> None:
        self.changed_on_disk([label_of(uri) for uri in uris_in(params, "changes")])

    def changed_on_disk(self, paths: list[str]) -> None:
        """Files were written, made or removed."""
        if any(path.endswith(".toml") for path in paths):
            self._start_over()
        paths = [path for path in paths if not path.endswith(".toml")]
        if self.workspace_pull is not None and self.abilities.registers_watchers:
            self.workspace_pull.sweep.changed(paths)
        turns = [paths[start : start + FILES_A_TURN] for start in range(0, len(paths), FILES_A_TURN)]
        self.scheduler.do_in_turns([self._change_on_disk(turn) for turn in turns], self._look_again)

    def _change_on_disk(self, paths: list[str]) -> Callable[[Analyst], tuple[list[str], Forgotten]]:
        return lambda analyst: (analyst.changed_on_disk(paths), self.resolvers.changed(paths))

    def _look_again(self, found: tuple[list[str], Forgotten]) -> None:
        labels, forgotten = found
        self.scheduler.refresh(labels)
        for resolver, by_folder in forgotten.items():
            for document in self.documents:
                questions = by_folder.get(os.path.dirname(document.label))
                if questions:
                    self.scheduler.look_up_again(document, resolver, questions)


def _registration(identifier: str, method: str, **options: Any) -> dict[str, Any]:
    return {"id": identifier, "method": method, "registerOptions": options}
