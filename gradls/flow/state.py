"""The mutable state of an analysis, with a trail: every write can be undone, and the writes of branches be merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class _Emptied(Protocol):
    def clear(self) -> None: ...


_born: list[_Emptied] | None = None


class Fields(dict):
    """The slots of one object or scope. Writes after its birth go through `State.set`."""

    __slots__ = ("born", "elsewhere")

    def __init__(self, state: State, values: dict | None = None) -> None:
        if values:
            self.update(values)
        self.elsewhere: dict[Any, Any] | None = None
        """What slots are, where nothing was written to them, that code may have filled which is not seen."""
        state.clock = self.born = state.clock + 1
        if _born is not None:
            _born.append(self)

    def may_be(self, key: Any, value: Any) -> None:
        """Code that is not seen may have filled a slot with something."""
        if self.elsewhere is None:
            self.elsewhere = {}
        self.elsewhere.setdefault(key, value)

    @classmethod
    def of(cls, born: int, values: dict | None = None) -> Fields:
        """Slots of something that was born before now."""
        fields = cls(_NOWHERE, values)
        fields.born = born
        return fields

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Entries(Fields):
    """The slots of a dictionary of the program. `about` are those in which the rest is kept that is known of it:
    `about["unsure"]` are the keys that, by branch, may be missing."""

    __slots__ = ("about",)

    def __init__(self, state: State, values: dict | None, about: Fields) -> None:
        super().__init__(state, values)
        self.about = about


class Assumed(Fields):
    """The slots of what branches take to be so: that holds behind them only if all of them do."""

    __slots__ = ()


@contextmanager
def emptied_behind() -> Iterator[None]:
    """Empty all slots, when the block is left, that were made in it.

    What is known of a program refers to itself in many ways. With the slots empty it is given back at once, and nobody
    has to search for it.
    """
    global _born
    before: list[_Emptied] | None = _born
    made: list[_Emptied] = []
    _born = made
    try:
        yield
    finally:
        _born = before
        for each in made:
            each.clear()


def empty_behind(what: _Emptied) -> None:
    """Empty this, too, when the block of `emptied_behind` is left."""
    if _born is not None:
        _born.append(what)


ABSENT: dict[Any, Any] = {}
"""What it is that a slot is not there, for those of which the absence means something. Who has such slots adds them."""
PRESUMED: set[Any] = set()
"""Slots that what reads them later may find empty, if only some branches have filled them: the slot `presumed` of the
value says so. Who has such slots adds them."""
Changes = dict[tuple[int, Any], tuple[Fields, Any, Any]]
"""What a stretch of the analysis wrote: (identity of the fields, key) to (fields, key, last value)."""


class Way:
    """A way on which a block was left: what was there by then. `until` is when that was, `apart` are the times, each
    from behind the first to the second, of which nothing was: those of other branches."""

    __slots__ = ("apart", "until")

    def __init__(self, until: int, apart: tuple[tuple[int, int], ...]) -> None:
        self.until = until
        self.apart = apart

    def has(self, born: int) -> bool:
        """Was something that was born then there?"""
        return born <= self.until and not any(first < born <= last for first, last in self.apart)


class State:
    """Writes, undoes and merges slots."""

    __slots__ = ("apart", "before", "before_is_sure", "clock", "trail")

    def __init__(self) -> None:
        self.trail: list[tuple[Fields, Any, Any]] = []
        self.clock = 0
        self.apart: list[tuple[int, int]] = []
        """The times of branches that do not lead to where the analysis is, as far as they still matter."""
        self.before: Any = MISSING
        """What the slot that is being joined held before the branches."""
        self.before_is_sure = True
        """It certainly held that: no test had put it there."""

    def set(self, fields: Fields, key: Any, value: Any) -> None:
        """Write a slot."""
        old = fields.get(key, MISSING)
        if old is not value:
            self.trail.append((fields, key, old))
            fields[key] = value

    def drop(self, fields: Fields, key: Any) -> None:
        """Empty a slot."""
        if key in fields:
            self.trail.append((fields, key, fields.pop(key)))

    def tick(self) -> int:
        """The birth of something, which is later than all before it."""
        self.clock += 1
        return self.clock

    def mark(self) -> tuple[int, int]:
        """A point to which one can go back: the length of the trail and the time."""
        return len(self.trail), self.clock

    def peek(self, mark: tuple[int, int]) -> Changes:
        """What was written since `mark`; nothing is undone."""
        trail, start = self.trail, mark[0]
        if len(trail) == start:
            return {}
        return {(id(fields), key): (fields, key, fields.get(key, MISSING)) for fields, key, _ in trail[start:]}

    def undo(self, mark: tuple[int, int]) -> None:
        """Go back to `mark`."""
        trail, start = self.trail, mark[0]
        if len(trail) == start:
            return
        written = trail[start:]
        del trail[start:]
        written.reverse()
        for fields, key, old in written:
            if old is MISSING:
                fields.pop(key, None)
            else:
                fields[key] = old

    def capture(self, mark: tuple[int, int]) -> Changes:
        """What was written since `mark`, and go back to it."""
        changes = self.peek(mark)
        self.undo(mark)
        return changes

    def apply(self, changes: Changes) -> None:
        """Write captured changes again."""
        for fields, key, value in changes.values():
            if value is MISSING:
                self.drop(fields, key)
            else:
                self.set(fields, key, value)

    def way(self) -> Way:
        """The way that led here."""
        return Way(self.clock, tuple(self.apart))

    def forget(self, mark: tuple[int, int], fields: Fields) -> None:
        """Forget that `fields`, at which nobody will look any more, were written since `mark`."""
        trail, start = self.trail, mark[0]
        if len(trail) > start:
            trail[start:] = [write for write in trail[start:] if write[0] is not fields]

    def merge(
        self,
        mark: tuple[int, int],
        outcomes: Sequence[Changes],
        join: Callable[[Any, list[Any]], Any],
        over: Fields | None = None,
        ways: Sequence[Way] = (),
    ) -> list[tuple[Fields, Any]]:
        """Continue from several outcomes of branches that all began at `mark`.

        `join(key, values)` makes one value of those that differ. What was born inside a branch is not joined: the
        other branches never had it. A slot that a branch left empty does not count: code that reads it later would
        fail on that branch, so it is taken that it does not come that way. For those in `ABSENT`, and those that may be
        filled elsewhere, it is known what they are.
        With `ways`, one for each outcome, these are no branches but ways on which a block was left one after the
        other: on each, what was born before is what it was by then.
        Slots of `over` are not joined, at which nobody will look any more. What is given back are those slots, born
        before the branches, that only some of them filled.
        """
        gaps: list[tuple[Fields, Any]] = []
        if len(outcomes) == 1:
            self.apply(outcomes[0])
            return gaps
        made: dict[tuple[int, ...], Any] = {}
        missing: list[tuple[Entries, Any]] = []
        for slot, (fields, key, _) in _in_order(outcomes, mark[1], over):
            inside = fields.born > mark[1]
            present = _ends(outcomes, slot, fields, inside, ways)
            partly = len(present) < len(outcomes)
            if present and partly and not inside:
                if isinstance(fields, Entries):
                    missing.append((fields, key))
                gaps.append((fields, key))
            if not present or (partly and type(fields) is Assumed):
                self.drop(fields, key)
            elif _is_one(present):
                self.set(fields, key, present[0])
            else:
                self.before = MISSING if inside else fields.get(key, MISSING)
                self.before_is_sure = not (isinstance(fields, Entries) and key in fields.about.get("unsure", ()))
                # What is one and the same on each branch is so behind them, too.
                same = tuple(map(id, (self.before, *present)))
                joined = made[same] if same in made and key != "rest" else join(key, present)
                if hasattr(joined, "fields"):
                    made[same] = joined
                self.before, self.before_is_sure = MISSING, True
                self.set(fields, key, joined)
                if key == "items" and _differ_in_length(present):
                    # The longest stands for all: some of it may not be there.
                    self.set(fields, "unsure", True)
        for fields, key in gaps:
            of = getattr(fields.get(key), "fields", None) if key in PRESUMED else None
            if of is not None:
                self.set(of, "presumed", True)
        for entries, key in missing:
            self.set(entries.about, "unsure", entries.about.get("unsure", frozenset()) | {key})
        return gaps


def _in_order(
    outcomes: Sequence[Changes], since: int, over: Fields | None
) -> list[tuple[tuple[int, Any], tuple[Fields, Any, Any]]]:
    """The slots that branches wrote, in the order in which they are joined."""
    slots: Changes = {}
    for changes in outcomes:
        slots.update(changes)
    # What holds something new is joined when it is what the branches made it.
    young = [item for item in slots.items() if item[1][0].born > since and item[1][0] is not over]
    old = [item for item in slots.items() if item[1][0].born <= since] if len(young) < len(slots) else []
    if len(old) > 1:
        # Before what holds a tensor or a list is joined, what that is.
        old.sort(key=_has_slots)
    return young + old


def _ends(
    outcomes: Sequence[Changes], slot: tuple[int, Any], fields: Fields, inside: bool, ways: Sequence[Way]
) -> list[Any]:
    """What a slot holds behind the branches that do not leave it empty; `inside`: it was born in one of them."""
    key = slot[1]
    before: Any = fields.get(key, MISSING)
    present: list[Any] = []
    for number, changes in enumerate(outcomes):
        change = changes.get(slot)
        there = not inside or (bool(ways) and ways[number].has(fields.born))
        value = change[2] if change is not None else before if there else MISSING
        if value is MISSING and there:
            value = ABSENT.get(key, MISSING)
            if value is MISSING and fields.elsewhere is not None:
                value = fields.elsewhere.get(key, MISSING)
        if value is not MISSING:
            present.append(value)
    return present


def _is_one(values: list[Any]) -> bool:
    """Are all the same thing?"""
    first = values[0]
    return all(value is first for value in values)


def _differ_in_length(values: list[Any]) -> bool:
    """Are these tuples of different lengths?"""
    return all(isinstance(value, tuple) for value in values) and len({len(value) for value in values}) > 1


def _has_slots(item: tuple[Any, tuple[Fields, Any, Any]]) -> bool:
    """Does a slot hold something with slots of its own?"""
    return hasattr(item[1][2], "fields")


_NOWHERE = State()
"""For slots that are told when they were born."""
