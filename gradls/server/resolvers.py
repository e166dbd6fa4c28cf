"""The resolvers of the workspace's folders."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from gradls.server.analysis import NameResolver
from gradls.server.settings import Settings

log = logging.getLogger(__name__)


class Resolvers:
    """One resolver for each root, made when the first document below it is analysed."""

    def __init__(self) -> None:
        self._made: dict[Path, NameResolver] = {}
        self._lock = threading.Lock()
        self._python: str | None = None
        self._trusted = False

    def configure(self, settings: Settings) -> None:
        """Use another environment from now on. Those that look into the old one are closed."""
        if (settings.python, settings.trusted) != (self._python, self._trusted):
            self.close()
        with self._lock:
            self._python, self._trusted = settings.python, settings.trusted

    def for_root(self, root: Path | None) -> NameResolver | None:
        """The resolver for files below `root`; None without a root. May be called from any thread."""
        if root is None:
            return None
        with self._lock:
            if root not in self._made:
                try:
                    from gradls.resolve.resolver import Resolver
                except ImportError:
                    return None

                self._made[root] = Resolver(root, self._python if self._trusted else None, self._trusted)
            return self._made[root]

    def close(self) -> None:
        """Stop what the resolvers have started."""
        with self._lock:
            made, self._made = self._made, {}
        for resolver in made.values():
            try:
                resolver.close()
            except Exception:
                log.exception("a resolver could not be closed")
