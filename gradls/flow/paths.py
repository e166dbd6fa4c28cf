"""The decisions that lead to a place of the program, and what follows from them: paths, and rounds of loops."""

from __future__ import annotations

import ast
from math import prod
from typing import Any

Path = tuple[Any, object, object]
"""Decisions that led here: (those before, what was decided on, how). The first is a `Path` too, or None."""


def compatible(one: Path | None, other: Path | None) -> bool:
    """Can both paths be taken in one run?"""
    decided = {}
    while one is not None:
        decided[id(one[1])] = one[2]
        one = one[0]
    while other is not None:
        if decided.get(id(other[1]), other[2]) != other[2]:
            return False
        other = other[0]
    return True


class Round:
    """One round of a loop, as a step of a path: never a decision, so it contradicts nothing."""

    __slots__ = ("loop",)

    def __init__(self, loop: object) -> None:
        self.loop = loop


class Evaluations:
    """In place of the loop of a `Round`: an optimizer calls its closure several times in one step."""

    __slots__ = ()


def meets(here: Path | None, earlier: Path | None, *, plainly: bool = False) -> bool:
    """Has what was done on the path `earlier` certainly been done in a run that comes to `here`, given that the program
    takes that earlier branch at all?

    Tests that the analysis cannot decide may depend on each other (`i == last` and `i != last`, in this round and the
    next), so a branch counts only if nothing else was decided on the way to `here`. What is decided anew in each round
    about a remainder (`i % 4 == 3`) comes back, unless the question is `plainly` asked.
    """
    before, now = _decisions(earlier), _decisions(here)
    if not plainly:
        _leave_out_returning(before, now)
    if any(key in now and now[key][1] != decided[1] for key, decided in before.items()):
        return False
    if all(key in now or isinstance(subject, Round) for key, (subject, _) in before.items()):
        return True
    loops = {subject.loop for subject, _ in before.values() if isinstance(subject, Round)}
    new = [subject for key, (subject, _) in now.items() if key not in before]
    return all(isinstance(subject, Round) and subject.loop not in loops for subject in new)


def _leave_out_returning(before: dict[int, tuple[object, object]], now: dict[int, tuple[object, object]]) -> None:
    """Take out what was decided in the same way at the same test about what comes back, in an earlier round and now."""
    for key, (subject, decision) in list(before.items()):
        test = getattr(subject, "test", None)
        if test is None or key in now:
            continue
        for other, decided in list(now.items()):
            if other not in before and decided[1] is decision and getattr(decided[0], "test", None) is test:
                del before[key], now[other]
                break


def from_earlier_round(here: Path | None, earlier: Path | None) -> bool:
    """Was what was done on the path `earlier` done in another round of a loop that `here` is still in?"""
    now = _decisions(here)
    last: dict[object, object] = {}
    for subject, _ in now.values():
        if isinstance(subject, Round):
            last.setdefault(subject.loop, subject)
    rounds: dict[object, object] = {}
    for subject, _ in _decisions(earlier).values():
        if isinstance(subject, Round):
            rounds.setdefault(subject.loop, subject)
    return any(rounds.get(loop, current) is not current for loop, current in last.items())


def before_loop(here: Path | None, earlier: Path | None) -> bool:
    """Was what was done on the path `earlier` done before a loop that `here` is in?"""
    loops = {subject.loop for subject, _ in _decisions(earlier).values() if isinstance(subject, Round)}
    return any(isinstance(subject, Round) and subject.loop not in loops for subject, _ in _decisions(here).values())


def in_handler(here: Path | None, made: Path | None) -> bool:
    """Is `here` in an `except` block of a `try` that stands behind what was made on the path `made`? It may be that the
    block is not run for such a value."""
    before = _decisions(made)
    for key, (subject, decision) in _decisions(here).items():
        if key not in before and isinstance(subject, ast.Try) and decision != 0:
            return True
    return False


def times(here: Path | None, since: Path | None) -> int | None:
    """How often a run that does what was done on the path `since` does what was done on the path `here`, which is in
    loops of known length; None if that depends on something."""
    before, now = _decisions(since), _decisions(here)
    counts: dict[object, int | None] = {}
    for key, (subject, _) in now.items():
        if key in before:
            continue
        if not isinstance(subject, Round):
            return None
        counts[subject.loop] = subject.loop.count  # type: ignore[attr-defined]
    known = [count for count in counts.values() if count is not None]
    return prod(known) if len(known) == len(counts) else None


def times_at_least(here: Path | None, since: Path | None) -> tuple[int, bool] | None:
    """The same for loops of which some may be of unknown length: how often, if these have one round each, and whether
    there are such loops."""
    before, now = _decisions(since), _decisions(here)
    counts: dict[object, int | None] = {}
    for key, (subject, _) in now.items():
        if key not in before:
            if not isinstance(subject, Round):
                return None
            counts[subject.loop] = subject.loop.count  # type: ignore[attr-defined]
    known = [count for count in counts.values() if count is not None]
    return prod(known), len(known) < len(counts)


def loops_of(path: Path | None) -> frozenset[object]:
    """The statements of the loops that a path is in."""
    rounds = [subject for subject, _ in _decisions(path).values() if isinstance(subject, Round)]
    return frozenset(step.loop.statement for step in rounds)  # type: ignore[attr-defined]


def _decisions(path: Path | None) -> dict[int, tuple[object, object]]:
    found: dict[int, tuple[object, object]] = {}
    while path is not None:
        found.setdefault(id(path[1]), (path[1], path[2]))
        path = path[0]
    return found
