"""The analysis of the open documents, on one thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pathspec

from gradls.flow.names import Question
from gradls.rules.finding import Finding
from gradls.server.settings import Settings
from gradls.syntax.source import Source
from gradls.workspace.config import Config
from gradls.workspace.project import Answers
from gradls.workspace.selection import relative_to
from gradls.workspace.session import Session

log = logging.getLogger(__name__)

T = TypeVar("T")

# Deeply nested code recurses in C while it is parsed; the default of macOS for threads is half a megabyte.
STACK_BYTES = 64 * 1024 * 1024


class Worker:
    """One thread that runs what it is given, in order.

    Not a ThreadPoolExecutor: its threads take no stack size and keep a process that is told to exit alive.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        previous = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._work, name="analysis", daemon=True).start()
        finally:
            threading.stack_size(previous)

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run `job` after those before it. Cancelling the future of a job that has not begun drops it."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
            del future, job


class NameResolver(Protocol):
    """Says what imported names are: what it knows at once, the rest when asked to find out."""

    def names_for(self, path: str) -> Answers: ...

    async def resolve(self, questions: Iterable[Question], near: str) -> bool: ...

    def changed(self, path: str) -> Mapping[str, set[Question]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document at one moment."""

    label: str
    uri: str
    version: int | None
    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of one snapshot. `resolver` can answer `questions`; `problems` are those of the configuration."""

    snapshot: Snapshot
    source: Source
    findings: Sequence[Finding]
    questions: frozenset[Question]
    resolver: NameResolver | None
    problems: tuple[str, ...]
    affected: Sequence[str] = ()
    """The labels of the open documents that import this one, where its text is another than it was."""


@dataclass(slots=True)
class _Opened:
    """An open document: the session that holds it, and which of its texts that is."""

    session: Session
    resolver: NameResolver | None
    excluded: bool
    revision: int


class Outdated(Exception):
    """What was asked for belongs to a text that is no more."""


class Analyst:
    """The sessions behind the open documents. To be used on the worker's thread only.

    A session has one configuration, so there is one for each configuration file that governs an open document.
    """

    def __init__(
        self, folders: list[Path], settings: Settings, resolver_for: Callable[[Path | None], NameResolver | None]
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._resolver_for = resolver_for
        self._sessions: dict[tuple[Path | None, Path | None], tuple[Session, NameResolver | None]] = {}
        self._opened: dict[str, _Opened] = {}

    def analyse(self, snapshot: Snapshot) -> Analysis:
        """The findings of a text; what is known already is not found out again."""
        label = snapshot.label
        opened = self._opened.get(label)
        affected: list[str] = []
        if opened is None:
            opened = self._opened[label] = self._open(snapshot)
            affected = opened.session.open(label, snapshot.text)
        elif opened.revision != snapshot.revision:
            affected = opened.session.change(label, snapshot.text)
            opened.revision = snapshot.revision
        session, resolver = opened.session, opened.resolver
        return Analysis(
            snapshot,
            session.source(label),
            () if opened.excluded else session.findings(label),
            frozenset(session.questions(label)) if resolver else frozenset(),
            resolver,
            session.config.problems,
            affected,
        )

    def close(self, label: str) -> list[str]:
        """Drop a document. Returns the labels of the open documents of which less is known now."""
        opened = self._opened.pop(label, None)
        return opened.session.close(label) if opened is not None else []

    def forget(self, label: str) -> None:
        """Names have become known: what was concluded about `label` without them is void."""
        if label in self._opened:
            self._opened[label].session.forget(label)

    def changed_on_disk(self, paths: Iterable[str]) -> list[str]:
        """Files were written, made or removed: the labels of the open documents of which less is known now."""
        sessions = [session for session, _ in self._sessions.values()]
        return [label for path in paths for session in sessions for label in session.changed_on_disk(path)]

    def session_of(self, snapshot: Snapshot) -> Session:
        """The session that holds exactly this text; Outdated if it has moved on."""
        opened = self._opened.get(snapshot.label)
        if opened is None or opened.revision != snapshot.revision:
            raise Outdated(snapshot.label)
        return opened.session

    def is_outdated(self) -> bool:
        """Whether the configuration of an open document is no longer what it was when that was opened."""
        configs = {label: self._settings.config_for(self._place(label)[1]) for label in self._opened}
        return any(config != self._opened[label].session.config for label, config in configs.items())

    def _open(self, snapshot: Snapshot) -> _Opened:
        label = snapshot.label
        root, folder = self._place(label)
        config = self._settings.config_for(folder)
        key = (root, config.file)
        if key not in self._sessions:
            resolver = self._resolver_for(root)
            self._sessions[key] = Session(root, config, resolver), resolver
        session, resolver = self._sessions[key]
        return _Opened(session, resolver, _excludes(config, label), snapshot.revision)

    def _place(self, label: str) -> tuple[Path | None, Path | None]:
        """The workspace folder that `label` belongs to, and where to begin to look for its configuration.

        What lies outside of the workspace, like a library's source or an untitled buffer, belongs to the first folder.
        """
        path = Path(label)
        if path.is_absolute():
            around = [folder for folder in self._folders if folder in path.parents]
            if around:
                return max(around, key=lambda folder: len(folder.parts)), path.parent
        if self._folders:
            return self._folders[0], self._folders[0]
        return (path.parent, path.parent) if path.is_absolute() else (None, None)


def _excludes(config: Config, label: str) -> bool:
    if not config.exclude:
        return False
    return pathspec.GitIgnoreSpec.from_lines(config.exclude).match_file(relative_to(label, config.root))
