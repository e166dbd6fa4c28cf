"""The resolvers of the workspace's folders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gradls.server.settings import Settings
from gradls.server.snapshots import NameResolver

if TYPE_CHECKING:
    from gradls.flow.names import Question

log = logging.getLogger(__name__)


class Resolvers:
    """One resolver for each root, made when the first document below it is analysed."""

    def __init__(self) -> None:
        self._made: dict[Path | None, NameResolver] = {}
        self._lock = threading.Lock()
        self._settings = Settings()

    def configure(self, settings: Settings) -> None:
        """Use another environment from now on. Those that look into the old one are closed."""
        if _environments(settings) != _environments(self._settings):
            self.close()
        with self._lock:
            self._settings = settings

    def for_root(self, root: Path | None) -> NameResolver:
        """The resolver for files below `root`; without a root one that looks near each file. From any thread."""
        from gradls.resolve.resolver import Resolver

        with self._lock:
            if root not in self._made:
                self._made[root] = Resolver(root, self._settings.of(root).python, self._settings.trusted)
            return self._made[root]

    def changed(self, paths: Iterable[str]) -> dict[NameResolver, dict[str, set[Question]]]:
        """Forget what rests on files that were written, moved or removed: who forgot the answers to which questions,
        by the folder of the files that had asked them."""
        with self._lock:
            made = list(self._made.values())
        result: dict[NameResolver, dict[str, set[Question]]] = {}
        for path in paths:
            for resolver in made:
                for folder, questions in resolver.changed(path).items():
                    result.setdefault(resolver, {}).setdefault(folder, set()).update(questions)
        return result

    def close(self) -> None:
        """Stop what the resolvers have started."""
        with self._lock:
            made, self._made = self._made, {}
        for resolver in made.values():
            try:
                resolver.close()
            except Exception:
                log.exception("a resolver could not be closed")


def _environments(settings: Settings) -> object:
    """All that says what resolvers look into."""
    return settings.trusted, settings.python, {folder: each.python for folder, each in settings.by_folder.items()}
