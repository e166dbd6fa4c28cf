"""What is found in the files of the workspace that nobody has open, kept up to date for who wants to know.

One file after the other is looked at, in a process of its own. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from gradls.server.pull import NOTHING
from gradls.server.scanner import Scanner

if TYPE_CHECKING:
    from pathlib import Path

    from gradls.server.documents import Documents
    from gradls.server.settings import Client, Settings

Json = dict[str, Any]
Status = tuple[int, int]
"""When a file was written, in nanoseconds, and its length in bytes."""


class Sweep:
    """The diagnostics of closed files by path; those without any are known, too.

    `listed` is called when it is known how many files there are to look at, `found` with each file that was looked at,
    and `finished` when all of them have been.
    """

    def __init__(
        self,
        scanner: Scanner,
        documents: Documents,
        listed: Callable[[], None],
        found: Callable[[str], None],
        finished: Callable[[], None],
    ) -> None:
        self._scanner = scanner
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
        self._edited: set[str] = set()
        self._unsent: set[str] = set()
        """The labels of documents whose texts the scanner does not have."""
        self._stale: dict[str, None] = {}
        self._listing_due = True
        self._is_listing = False
        self._listed: dict[str, Status] = {}
        self._is_finished = False
        self._is_busy = False
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
        return path in self._stale or bool(self._changed or self._edited) or self._listing_due

    def ask_again(self) -> None:
        """Somebody else wants to know."""
        self._is_finished = False
        self.proceed()

    def restart(self, folders: list[Path], settings: Settings, client: Client) -> None:
        """Everything may be otherwise: settings or folders have changed."""
        self._run += 1
        self._scanner.restart(folders, settings, client)
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
        self.proceed()

    def changed(self, paths: Iterable[str]) -> None:
        """These files or folders are others on disk now."""
        if self._statuses:
            self._changed.update(paths)
            self._is_finished = False
            if not self._statuses.keys() >= self._changed:
                self._listing_due = True
            self.proceed()

    def edited(self, label: str) -> None:
        """The text of a document is another one now, or it is open no more. What rests on it is looked at again when
        nobody types for a moment."""
        self._edited.add(label)
        self._unsent.add(label)

    def rest(self) -> None:
        """Nobody types."""
        if self._edited:
            self._changed |= self._edited
            self._edited.clear()
            self._is_finished = False
            self.proceed()

    def proceed(self) -> None:
        """Do the next thing, if there is one, nobody does anything yet, and somebody wants to know."""
        if not self.wanted or self._is_finished or self._is_busy:
            return
        self._spread()
        if self._listing_due or self._is_listing:
            begins = not self._is_listing
            if begins:
                self._listing_due, self._is_listing, self._listed = False, True, {}
            self._ask({"listing": begins}, self._listed_more)
            return
        while self._stale:
            path = next(iter(self._stale))
            del self._stale[path]
            if self._documents.by_label(path) is None:
                self._ask({"check": path}, partial(self._checked, path))
                return
        self._is_finished = True
        self._on_finished()

    def check(self, path: str, then: Callable[[str], None]) -> None:
        """Have `then` called with the diagnostics of a file, at once if they are known."""
        if path in self.diagnostics and not self.is_stale(path):
            then(self.diagnostics[path])
            return
        self._scanner.ask(
            {"check": path, "texts": self._texts()}, lambda reply: then(reply["diagnostics"] if reply else NOTHING)
        )

    def _ask(self, request: Json, then: Callable[[Json | None], None]) -> None:
        run = self._run

        def answered(reply: Json | None) -> None:
            self._is_busy = False
            if run == self._run:
                then(reply)
            self.proceed()

        self._is_busy = True
        self._scanner.ask({**request, "texts": self._texts()}, answered)

    def _texts(self) -> dict[str, str | None]:
        """The texts that the scanner does not have, None for those that are open no more."""
        opened = {label: self._documents.by_label(label) for label in self._unsent}
        self._unsent.clear()
        return {label: document.text if document is not None else None for label, document in opened.items()}

    def _spread(self) -> None:
        """What rests on what has changed is to be looked at again."""
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        numbers = {self._numbers[path] for path in changed if path in self._numbers}
        folders = {path for path in changed if not path.endswith((".py", ".pyi"))}
        if folders:
            numbers.update(number for path, number in self._numbers.items() if _is_below(path, folders))
        self._stale.update((path, None) for path in changed if path in self._statuses)
        self._stale.update((path, None) for path, looked in self._looked.items() if not numbers.isdisjoint(looked))

    def _listed_more(self, reply: Json | None) -> None:
        files = reply["files"] if reply else None
        if files is not None:
            self._listed.update((path, (written, length)) for path, written, length in files)
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

    def _checked(self, path: str, reply: Json | None) -> None:
        if path in self._statuses:
            numbers = self._numbers
            looked = reply["looked"] if reply else [path]
            self._looked[path] = array("I", [numbers.setdefault(each, len(numbers)) for each in looked])
            self.diagnostics[path] = reply["diagnostics"] if reply else NOTHING
            self._on_found(path)


def _is_below(path: str, folders: set[str]) -> bool:
    above = os.path.dirname(path)
    while above != path:
        if above in folders:
            return True
        path, above = above, os.path.dirname(above)
    return False
