"""What is wrong in configuration files, told where it stands in them.

A file is looked at when it governs a document or is open itself, and again whenever it may have changed, until nothing
is wrong with it. Everything here runs on the loop's thread, but for what the worker is asked to find out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradls.server.connection import Connection, Params
from gradls.server.documents import Document, Documents
from gradls.server.positions import to_range
from gradls.server.scheduling import Scheduler
from gradls.server.settings import SOURCE, Client
from gradls.syntax.text import visible

if TYPE_CHECKING:
    from gradls.workspace.config import Problem

CODE = "configuration"
ERROR, WARNING = 1, 2


class Configurations:
    """The configuration files that matter to the client."""

    def __init__(self, documents: Documents, scheduler: Scheduler, connection: Connection, client: Client) -> None:
        self.documents = Documents()
        """Those that are open; none of them is in the `documents` of programs."""
        self.documents.encoding = documents.encoding
        self._uri_of = documents.uri_of
        self._scheduler = scheduler
        self._connection = connection
        self._client = client
        self._told: dict[str, str] = {}
        """By the labels of the files of which the client has diagnostics: their URIs as they were then."""

    def did_open(self, params: Params) -> None:
        item = params["textDocument"]
        self._look(self.documents.open(item["uri"], item.get("version"), item["text"]).label)

    def did_change(self, params: Params) -> None:
        item = params["textDocument"]
        document = self.documents.change(item["uri"], item.get("version"), params["contentChanges"])
        if document is not None:
            self._look(document.label)

    def did_close(self, params: Params) -> None:
        document = self.documents.close(params["textDocument"]["uri"])
        if document is not None:
            self._look(document.label)

    def notice(self, problems: Iterable[Problem]) -> None:
        """Something is wrong in these files."""
        for label in {str(problem.file) for problem in problems if problem.file is not None} - self._told.keys():
            self._look(label)

    def look_again(self) -> None:
        """Files may have changed."""
        for label in list(self._told):
            self._look(label)

    def _look(self, label: str) -> None:
        document = self.documents.by_label(label)
        text, revision = (document.text, document.revision) if document is not None else (None, None)
        client = self._client

        def tell(diagnostics: list[dict[str, Any]]) -> None:
            now = self.documents.by_label(label)
            if (now.revision if now is not None else None) == revision:
                self._tell(label, now, diagnostics)

        self._scheduler.do(lambda analyst: diagnostics_of(label, text, client), tell)

    def _tell(self, label: str, document: Document | None, diagnostics: list[dict[str, Any]]) -> None:
        uri = document.uri if document is not None else self._uri_of(label)
        before = self._told.pop(label, None)
        if before is not None and before != uri:
            self._publish(before, [])
        if diagnostics:
            self._told[label] = uri
        if diagnostics or before == uri:
            self._publish(uri, diagnostics, document.version if document is not None else None)

    def _publish(self, uri: str, diagnostics: list[dict[str, Any]], version: int | None = None) -> None:
        params = {"uri": uri, "diagnostics": diagnostics, **({"version": version} if version is not None else {})}
        self._connection.notify("textDocument/publishDiagnostics", params)


def problems_of(label: str, text: str | None) -> tuple[list[str], tuple[Problem, ...]]:
    """The lines of the configuration file `label`, and what is wrong with it; `text` is None for what is on disk. Runs
    on the worker's thread."""
    from gradls.syntax.text import split_lines
    from gradls.workspace.config import OWN_FILE, PROJECT_FILE, config_in, read_config

    file = Path(label)
    if text is None:
        if not os.path.isfile(file):
            return [], ()
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return [], read_config(file).problems
    config = config_in(text, file) if file.name in (OWN_FILE, PROJECT_FILE) else None
    return split_lines(text), config.problems if config is not None else ()


def diagnostics_of(label: str, text: str | None, client: Client) -> list[dict[str, Any]]:
    """What is wrong with a configuration file, as the protocol's diagnostics. Runs on the worker's thread."""
    lines, problems = problems_of(label, text)
    return [diagnostic(problem, lines, client) for problem in problems]


def diagnostic(problem: Problem, lines: list[str], client: Client) -> dict[str, Any]:
    """`problem`, in a file of these lines, as a diagnostic."""
    assert problem.span is not None
    return {
        "range": to_range(problem.span, lines, client.encoding),
        "severity": ERROR if problem.is_fatal else WARNING,
        "code": CODE,
        "source": SOURCE,
        "message": visible(problem.message),
    }
