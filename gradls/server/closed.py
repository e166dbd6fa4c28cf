"""The files of the workspace that nobody has open: which there are, and what is found in them.

Everything here runs on the worker's thread. Of each file only what the client is told is kept, and nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gradls.flow.analyze import Interrupted
from gradls.server.diagnostics import Diagnostics
from gradls.workspace.files import Unreadable, collect, read
from gradls.workspace.looked import Looked
from gradls.workspace.selection import excludes
from gradls.workspace.session import Session

if TYPE_CHECKING:
    from gradls.server.analysis import Analyst
    from gradls.workspace.config import Config

AT_ONCE = 50

Status = tuple[int, int]
"""When a file was written, in nanoseconds, and its length in bytes."""


class Found(NamedTuple):
    """The diagnostics of a file, the protocol's list as JSON, and the absolute paths that they rest on."""

    diagnostics: str
    looked: tuple[str, ...]


class ClosedFiles:
    """The Python files in the folders of `analyst`."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._configs: dict[Path, Config] = {}
        self._listing = self._all()
        self._session: tuple[str, Session, Looked] | None = None
        """Of the file whose analysis was interrupted."""

    def listing(self, begin: bool) -> list[tuple[str, Status]] | None:
        """Some more of the paths that the command line would check in the folders, None after the last ones; the first
        ones again if this is to `begin`."""
        if begin:
            self._listing = self._all()
        return next(self._listing, None)

    def _all(self) -> Iterator[list[tuple[str, Status]]]:
        part: list[tuple[str, Status]] = []
        for folder in self._analyst.folders:
            for path in collect([str(folder)], self._config(folder)):
                if path.endswith(".py") and not self._excluded(path):
                    try:
                        found = os.stat(path)
                    except OSError:
                        continue
                    part.append((path, (found.st_mtime_ns, found.st_size)))
                if len(part) == AT_ONCE:
                    yield part
                    part = []
        yield part

    def check(self, path: str, is_overtaken: Callable[[], bool]) -> Found:
        """What is found in the file `path`: nothing if it cannot be read or is none of ours.

        Interrupted if `is_overtaken`; asked again for the same file it goes on from there.
        """
        if self._session is None or self._session[0] != path:
            self._session = self._begin(path)
        if self._session is None:
            return Found("[]", (path,))
        _, session, looked = self._session

        def pause() -> None:
            if is_overtaken():
                raise Interrupted

        session.interrupt_by(pause)
        findings = session.findings(path)
        self._session = None
        return Found(Diagnostics(self._analyst.client).encode(findings), (path, *looked.states))

    def forget(self) -> None:
        """Another text was edited, which the file may have looked at that was interrupted: that begins anew."""
        self._session = None

    def _begin(self, path: str) -> tuple[str, Session, Looked] | None:
        if not path.endswith(".py") or not os.path.isfile(path) or self._excluded(path):
            return None
        try:
            text = read(path).text
        except Unreadable:
            return None
        root, config, looked = self._analyst.root_of(path), self._config(Path(path).parent), Looked()
        session = Session(root, config, self._analyst.resolver_of(root), looked, self._analyst.opened_source)
        session.open(path, text)
        return path, session, looked

    def _config(self, folder: Path) -> Config:
        if folder not in self._configs:
            self._configs[folder] = self._analyst.config_for(folder)
        return self._configs[folder]

    def _excluded(self, path: str) -> bool:
        """By the configuration that is nearest to it."""
        return excludes(self._config(Path(path).parent), path)
