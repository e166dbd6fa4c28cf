"""What is found in the files of the workspace that nobody has open, kept up to date for who wants to know.

One file after the other is analysed, when the worker has nothing else to do. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from gradls.server.scheduling import Task

if TYPE_CHECKING:
    from gradls.server.analysis import Analyst
    from gradls.server.closed import Found, Status
    from gradls.server.documents import Documents

log = logging.getLogger(__name__)

NOTHING = "[]"


class Sweep:
    """The diagnostics of closed files by path; those without any are known, too.

    `listed` is called when it is known how many files there are to look at, `found` with each file that was looked at,
    and `finished` when all of them have been.
    """

    def __init__(
        self,
        documents: Documents,
        listed: Callable[[], None],
        found: Callable[[str], None],
        finished: Callable[[], None],
    ) -> None:
        self._documents = documents
        self._on_listed = listed
        self._on_found = found
        self._on_finished = finished
        self.wanted = False
        """Whether anybody wants to know."""
        self.diagnostics: dict[str, str] = {}
        self._statuses: dict[str, Status] = {}
        self._looked: dict[str, array[int]] = {}
        """The numbers of the paths that each file rests on."""
        self._numbers: dict[str, int] = {}
        self._changed: set[str] = set()
        self._stale: dict[str, None] = {}
        self._listing_due = True
        self._is_listing = False
        self._listed: dict[str, Status] = {}
        self._is_finished = False
        self._run = 0

    @property
    def left(self) -> int:
        """How many files are still to be looked at, as far as that is known."""
        return len(self._stale)

    @property
    def has_listed(self) -> bool:
        """Whether it is known which files there are."""
        return bool(self._statuses)

    def lists(self, path: str) -> bool:
        """Whether `path` is a file of the workspace."""
        return path in self._statuses

    def is_stale(self, path: str) -> bool:
        """Whether `path` may have other diagnostics now than those that are known."""
        return path in self._stale or bool(self._changed) or self._listing_due

    def ask_again(self) -> None:
        """Somebody else wants to know."""
        self._is_finished = False

    def restart(self) -> None:
        """Everything may be otherwise: settings or folders have changed."""
        self._run += 1
        self.diagnostics.clear()
        self._statuses.clear()
        self._looked.clear()
        self._numbers.clear()
        self._changed.clear()
        self._stale.clear()
        self._is_listing = False
        self.look_around()

    def look_around(self) -> None:
        """Files may have been written, made or removed."""
        self._listing_due, self._is_finished = True, False

    def changed(self, paths: Iterable[str]) -> None:
        """These files or folders are others on disk now."""
        paths = list(paths)
        if not self._statuses.keys() >= set(paths):
            self.look_around()
        self.edited(paths)

    def edited(self, paths: Iterable[str]) -> None:
        """The texts of these files are others now, in an editor or because there they are closed."""
        if self._statuses:
            self._changed.update(paths)
            self._is_finished = False

    def next(self, is_overtaken: Callable[[], bool]) -> Task | None:
        """What is to be done now, if anything. It raises Interrupted if it `is_overtaken`."""
        if not self.wanted or self._is_finished:
            return None
        if self._changed:
            self._spread()
        if self._listing_due or self._is_listing:
            return self._list()
        while self._stale:
            path = next(iter(self._stale))
            del self._stale[path]
            if self._documents.by_label(path) is None:
                job = partial(_check, path, is_overtaken)
                return Task(job, partial(self._checked, self._run, path))
        self._is_finished = True
        self._on_finished()
        return None

    def _spread(self) -> None:
        """What rests on what has changed is to be looked at again."""
        changed, self._changed = self._changed, set()
        numbers = {self._numbers[path] for path in changed if path in self._numbers}
        folders = {path for path in changed if not path.endswith((".py", ".pyi"))}
        if folders:
            numbers.update(number for path, number in self._numbers.items() if _is_below(path, folders))
        self._stale.update((path, None) for path in changed if path in self._statuses)
        self._stale.update((path, None) for path, looked in self._looked.items() if not numbers.isdisjoint(looked))

    # -- which files there are

    def _list(self) -> Task:
        begins = not self._is_listing
        if begins:
            self._listing_due, self._is_listing, self._listed = False, True, {}
        return Task(lambda analyst: analyst.closed.listing(begins), partial(self._listed_more, self._run))

    def _listed_more(self, run: int, part: list[tuple[str, Status]] | None, error: BaseException | None) -> None:
        if run != self._run:
            return
        if error is not None:
            log.error("the files of the workspace could not be listed; please report this", exc_info=error)
        elif part is not None:
            self._listed.update(part)
            return
        self._is_listing = False
        known, self._statuses, self._listed = self._statuses, self._listed, {}
        gone = known.keys() - self._statuses.keys()
        for path in gone:
            for each in (self.diagnostics, self._looked, self._stale):
                each.pop(path, None)
        others = [path for path, status in self._statuses.items() if known.get(path) != status]
        self._stale.update(dict.fromkeys(others))
        if known:
            self._changed.update([*others, *gone])
        self._on_listed()

    # -- what is in them

    def _checked(self, run: int, path: str, found: Found | None, error: BaseException | None) -> None:
        if run != self._run:
            return
        if found is None:
            from gradls.flow.analyze import Interrupted

            if isinstance(error, Interrupted):
                self._stale = {path: None, **self._stale}
                return
            log.error("%s could not be analysed; please report this", path, exc_info=error)
        numbers = self._numbers
        if path in self._statuses:
            looked = found.looked if found else ()
            self._looked[path] = array("I", [numbers.setdefault(each, len(numbers)) for each in looked])
            self.diagnostics[path] = found.diagnostics if found else NOTHING
            self._on_found(path)


def _check(path: str, is_overtaken: Callable[[], bool], analyst: Analyst) -> Found:
    return analyst.closed.check(path, is_overtaken)


def _is_below(path: str, folders: set[str]) -> bool:
    above = os.path.dirname(path)
    while above != path:
        if above in folders:
            return True
        path, above = above, os.path.dirname(above)
    return False
