"""The process that looks at files which nobody has open: requests come in, answers go out, one JSON object a line.

It has a process of its own so that nobody who types waits for it, and so that the memory it needs is given back. The
first line in says how to look at files. It ends when its input does, and when it has grown large.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradls.flow.state import emptied_behind
from gradls.server.analysis import Analyst
from gradls.server.diagnostics import Diagnostics
from gradls.server.documents import uri_of
from gradls.server.settings import Client, Settings
from gradls.server.worker import STACK_BYTES
from gradls.syntax.source import Source
from gradls.workspace.config import Config
from gradls.workspace.files import Unreadable, collect, read
from gradls.workspace.looked import Looked
from gradls.workspace.selection import excludes
from gradls.workspace.session import Session

log = logging.getLogger(__name__)

AT_ONCE = 200
MANY_OBJECTS = 500_000
LARGE_BYTES = 300 << 20
"""A process that has grown to this leaves when it has answered."""

NICENESS = 10

Reply = dict[str, Any]


class ClosedFiles:
    """The Python files in some folders."""

    def __init__(self, folders: list[Path], settings: Settings, client: Client) -> None:
        self._client = client
        self._analyst = Analyst(folders, settings, client, lambda *_: None)
        self._configs: dict[Path, Config] = {}
        self._texts: dict[str, Source] = {}
        self._listing = self._all()

    def answer(self, request: Reply) -> Reply:
        """What is asked: more of the `listing`, which is to begin if that is true, or to `check` a file. `texts` are
        those that an editor has, by path; None where it has none any more."""
        for path, text in request.get("texts", {}).items():
            self._texts.pop(path, None)
            if text is not None:
                self._texts[path] = Source.read(text, path)
        if "listing" in request:
            if request["listing"]:
                self._listing = self._all()
            return {"files": next(self._listing, None)}
        return self._check(request["check"])

    def _all(self) -> Iterator[list[tuple[str, int, int]]]:
        """The paths that the command line would check in the folders, in parts: each with when it was written, in
        nanoseconds, and its length in bytes."""
        part: list[tuple[str, int, int]] = []
        self._configs.clear()
        for folder in self._analyst.folders:
            for path in collect([str(folder)], self._config(folder)):
                if path.endswith(".py") and not excludes(self._config(Path(path).parent), path):
                    try:
                        found = os.stat(path)
                    except OSError:
                        continue
                    part.append((path, found.st_mtime_ns, found.st_size))
                if len(part) == AT_ONCE:
                    yield part
                    part = []
        yield part

    def _check(self, path: str) -> Reply:
        """The diagnostics of a file, the protocol's list as JSON, and the absolute paths that they rest on. There are
        none if it cannot be read or is none of ours."""
        config, looked = self._config(Path(path).parent), Looked()
        diagnostics = "[]"
        if path.endswith(".py") and os.path.isfile(path) and not excludes(config, path):
            with contextlib.suppress(Unreadable), emptied_behind():
                session = Session(self._analyst.root_of(path), config, None, looked, self._texts.get)
                session.open(path, read(path).text)
                diagnostics = Diagnostics(self._client).encode(session.findings(path))
                session.end()
        return {"diagnostics": diagnostics, "looked": [path, *looked.states]}

    def _config(self, folder: Path) -> Config:
        if folder not in self._configs:
            self._configs[folder] = self._analyst.config_for(folder)
        return self._configs[folder]


def main() -> None:
    """Serve until the input ends. Nothing else may write to standard output."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
    gc.disable()

    def serve() -> None:
        # What `Scanner.restart` wrote.
        folders, settings, abilities, encoding = pickle.load(sys.stdin.buffer)
        files = ClosedFiles(folders, settings, Client(encoding, abilities, uri_of))
        for line in sys.stdin.buffer:
            reply = _answer(files, json.loads(line))
            reply["leaves"] = is_large = _resident_bytes() > LARGE_BYTES
            try:
                replies.write(json.dumps(reply).encode() + b"\n")
                replies.flush()
            except OSError:
                return
            if is_large:
                return
            if gc.get_count()[0] > MANY_OBJECTS:
                gc.collect()

    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()


def _answer(files: ClosedFiles, request: Reply) -> Reply:
    try:
        return files.answer(request)
    except Exception:
        log.exception("%s failed; please report this", request.get("check", "the list of files"))
        return {"files": None, "diagnostics": "[]", "looked": []}


def _resident_bytes() -> int:
    """0 where nobody says."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
