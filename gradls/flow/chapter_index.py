"""Which chapters of a file have what somebody asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradls.flow.chapters import Chapter

_Having = dict[str, set[Chapter]]


class ChapterIndex:
    """Some chapters by the kinds of their events and by the names of what they call."""

    def __init__(self, chapters: Sequence[Chapter], before: ChapterIndex | None = None) -> None:
        """What `before` knows of chapters that are the same is taken from it, and need not be found out again. It finds
        that out anew if it is asked once more."""
        self._chapters = chapters
        self._places = {chapter: place for place, chapter in enumerate(chapters)}
        self._by_kind: _Having | None = None
        self._by_name: _Having = {}
        if before is not None and before._by_kind is not None:
            self._by_kind, self._by_name, before._by_kind = before._by_kind, before._by_name, None
            for chapter in before._places.keys() - self._places.keys():
                self._drop(chapter)
            for chapter in self._places.keys() - before._places.keys():
                self._add(chapter)

    def having(self, kinds: Collection[str] = (), names: Collection[str] = ()) -> list[Chapter]:
        """Those, in order, that have an event of one of these kinds or call something of one of these names."""
        if self._by_kind is None:
            self._by_kind, self._by_name = {}, {}
            for chapter in self._chapters:
                self._add(chapter)
        found: set[Chapter] = set()
        for kind in kinds:
            found |= self._by_kind.get(kind, set())
        for name in names:
            found |= self._by_name.get(name, set())
        return sorted(found, key=self._places.__getitem__)

    def _add(self, chapter: Chapter) -> None:
        assert self._by_kind is not None
        for kind in chapter.kinds:
            self._by_kind.setdefault(kind, set()).add(chapter)
        for name in chapter.names:
            self._by_name.setdefault(name, set()).add(chapter)

    def _drop(self, chapter: Chapter) -> None:
        assert self._by_kind is not None
        for kind in chapter.kinds:
            self._by_kind[kind].discard(chapter)
        for name in chapter.names:
            self._by_name[name].discard(chapter)
