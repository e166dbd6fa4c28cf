"""The analysis of the open documents. Everything here runs on the worker's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gradls.flow.analyze import Interrupted
from gradls.rules.registry import all_rules, plugins
from gradls.server.connection import publication
from gradls.server.diagnostics import Diagnostics
from gradls.server.settings import Client, Settings
from gradls.server.snapshots import Analysis, NameResolver, Outdated, Snapshot
from gradls.workspace.config import Config, load_config
from gradls.workspace.project import project_root
from gradls.workspace.selection import excludes
from gradls.workspace.session import Session

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Opened:
    """An open document: the session that holds it, and which of its texts that is."""

    session: Session
    resolver: NameResolver | None
    excluded: bool
    diagnostics: Diagnostics
    revision: int
    version: int | None
    affected: set[str] = field(default_factory=set)
    """The labels of the documents of which less is known since it was last analysed to the end."""


class Analyst:
    """The sessions behind the open documents.

    A session has one configuration, so there is one for each configuration file that governs an open document.
    """

    def __init__(
        self,
        folders: list[Path],
        settings: Settings,
        client: Client,
        resolver_for: Callable[[Path | None], NameResolver | None],
    ) -> None:
        self.folders = folders
        self._settings = settings
        self.client = client
        self._resolver_for = resolver_for
        self._sessions: dict[tuple[Path | None, Path | None], tuple[Session, NameResolver | None]] = {}
        self._opened: dict[str, _Opened] = {}
        self._is_overtaken: Callable[[], bool] = bool

    def analyse(self, snapshot: Snapshot, is_overtaken: Callable[[], bool] = bool) -> Analysis:
        """The findings of a text; what is known already is not found out again.

        Interrupted if `is_overtaken`, which is asked now and then; what was found out is known then.
        """
        self._is_overtaken = is_overtaken
        try:
            return self._analyse(snapshot)
        finally:
            self._is_overtaken = bool

    def _analyse(self, snapshot: Snapshot) -> Analysis:
        label = snapshot.label
        opened = self._opened.get(label)
        if opened is None:
            opened = self._opened[label] = self._open(snapshot)
            opened.affected.update(opened.session.open(label, "".join(snapshot.lines), snapshot.cells))
        elif opened.revision != snapshot.revision:
            opened.affected.update(opened.session.change(label, snapshot.lines, snapshot.cells))
            opened.revision, opened.version = snapshot.revision, snapshot.version
        session, resolver = opened.session, opened.resolver
        diagnostics = opened.diagnostics.encode(() if opened.excluded else session.findings(label))
        affected, opened.affected = opened.affected, set()
        return Analysis(
            diagnostics,
            publication(snapshot.uri, snapshot.version, diagnostics),
            frozenset(session.questions(label)) if resolver else frozenset(),
            resolver,
            session.config.problems,
            tuple(affected),
        )

    def _pause(self) -> None:
        if self._is_overtaken():
            raise Interrupted

    def close(self, label: str) -> list[str]:
        """Drop a document. Returns the labels of the open documents of which less is known now."""
        opened = self._opened.pop(label, None)
        return opened.session.close(label) if opened is not None else []

    def end(self) -> None:
        """Let go of all that is known: another one has taken the place of this one."""
        for session, _ in self._sessions.values():
            session.end()
        self._sessions.clear()
        self._opened.clear()

    def learned(self, label: str) -> None:
        """Names have become known: what was concluded about `label` without them is void."""
        if label in self._opened:
            self._opened[label].session.learned(label)

    def forget(self, label: str) -> None:
        """Names mean something else: what was concluded about `label` is void."""
        if label in self._opened:
            self._opened[label].session.forget(label)

    def looked_at(self) -> list[str]:
        """The paths that what is known of the open documents rests on."""
        return list({path for session, _ in self._sessions.values() for path in session.looked_at()})

    def changed_on_disk(self, paths: Iterable[str]) -> list[str]:
        """Files were written, made or removed: the labels of the open documents of which less is known now."""
        changed = list(paths)
        return [label for session, _ in self._sessions.values() for label in session.changed_on_disk(*changed)]

    def config_for(self, folder: Path) -> Config:
        """The configuration of files in `folder`. Reads files."""
        root, _ = self._place(str(folder / "__init__.py"))
        return self._settings.of(root).config_for(folder)

    def root_of(self, label: str) -> Path | None:
        """The workspace folder that `label` belongs to."""
        return self._place(label)[0]

    def opened_texts(self) -> dict[str, str]:
        """What the open documents say, by their labels."""
        return {label: opened.session.source(label).text for label, opened in self._opened.items()}

    def session_of(self, label: str, revision: int) -> Session:
        """The session that holds exactly this text; Outdated if it has moved on."""
        opened = self._opened.get(label)
        if opened is None or opened.revision != revision:
            raise Outdated(label)
        return opened.session

    def excludes(self, label: str) -> bool:
        """Whether the configuration says of an open document that nothing is to be said of it."""
        return self._opened[label].excluded

    def settings_of(self, label: str) -> Settings:
        """What the user has set in the editor for the folder of a document."""
        return self._settings.of(self.root_of(label))

    def hints_of(self, label: str) -> str | None:
        """Which hints an open document is to show, if somebody says so."""
        return self.settings_of(label).hints or self._opened[label].session.config.hints

    def version_of(self, label: str) -> int | None:
        """The client's version of the text that is known of an open document."""
        opened = self._opened.get(label)
        return opened.version if opened is not None else None

    def is_outdated(self) -> bool:
        """Whether the configuration of an open document is no longer what it was when that was opened."""
        used = {
            (self._place(label), opened.session.config.file): opened.session for label, opened in self._opened.items()
        }
        return any(
            self._settings.of(root).config_for(folder) != session.config
            for ((root, folder), _), session in used.items()
        )

    def _config_of(self, label: str) -> Config:
        root, folder = self._place(label)
        return self._settings.of(root).config_for(folder)

    def _open(self, snapshot: Snapshot) -> _Opened:
        label = snapshot.label
        root, config = self.root_of(label), self._config_of(label)
        key = (root, config.file)
        if key not in self._sessions:
            resolver = self._resolver_for(root)
            session = Session(root, config, resolver)
            session.interrupt_by(self._pause)
            log.info("%s: the configuration is %s", root or "no folder", config.file or "the default")
            self._sessions[key] = session, resolver
        session, resolver = self._sessions[key]
        diagnostics = Diagnostics(self.client)
        return _Opened(session, resolver, excludes(config, label), diagnostics, snapshot.revision, snapshot.version)

    def _place(self, label: str) -> tuple[Path | None, Path | None]:
        """The workspace folder that `label` belongs to, and where to begin to look for its configuration.

        A file outside of the workspace, like a library's source, belongs to its own project, with the configuration of
        the first folder if that project has none. An untitled buffer, or whatever else is no file, belongs to the first
        folder.
        """
        path, first = Path(label), self.folders[0] if self.folders else None
        if not path.is_absolute():
            return first, first
        around = [folder for folder in self.folders if folder in path.parents]
        if around:
            return max(around, key=lambda folder: len(folder.parts)), path.parent
        has_own = first is None or load_config(path.parent).file is not None
        return project_root(str(path.parent)), path.parent if has_own else first


def get_ready() -> None:
    """Import what an analysis takes, before there is anything to analyse."""
    all_rules()
    for problem in plugins().problems:
        log.warning("a plugin is left out: %s", problem)
