"""Names that some ways through a round of a loop leave without a value.

    for batch in loader:
        if mode == "mean":
            loss = f(batch).mean()
        elif mode == "sum":
            loss = f(batch).sum()
        loss.backward()

What is asked is the same in each round. A run that took the way past both branches had no `loss` in the first round
either, so no round gets that of an earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradls.flow.paths import Path, Round
from gradls.flow.state import MISSING, Changes, Fields
from gradls.flow.values import Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Frame

Decisions = frozenset[tuple[object, object]]
Unbound = dict[str, tuple[Value, list[Decisions]]]
"""By name the value that it has by now on the other ways, and what was decided on those that gave it none."""


def leave_out(frame: Frame, outcomes: list[Changes], ends: list[Path | None]) -> None:
    """Before branches are joined: take out of their `outcomes` what those cannot have that took, in an earlier round,
    the way on which the name got no value. `ends` are the ways that they took."""
    fields = frame.scope.fields
    for name, (value, ways) in frame.unbound.items():
        slot = (id(fields), name)
        if fields.get(name) is not value:
            continue
        for changes, end in zip(outcomes, ends, strict=True):
            if slot not in changes:
                taken = set(_decided(end))
                if any(way <= taken for way in ways):
                    changes[slot] = (fields, name, MISSING)


def remember(frame: Frame, gaps: list[tuple[Fields, Any]], outcomes: list[Changes], ends: list[Path | None]) -> None:
    """After branches were joined: remember which ways gave no value to the names in `gaps`, and what those of before
    have become."""
    fields = frame.scope.fields
    for name, (value, ways) in list(frame.unbound.items()):
        slot = (id(fields), name)
        now = fields.get(name)
        if isinstance(now, Value) and any(slot in changes and changes[slot][2] is value for changes in outcomes):
            frame.unbound[name] = (now, ways)
    for where, key in gaps:
        held = fields.get(key) if where is fields and isinstance(key, str) else None
        if not isinstance(held, Value):
            continue
        slot = (id(fields), key)
        empty: list[Decisions] = []
        for changes, end in zip(outcomes, ends, strict=True):
            if (slot not in changes or changes[slot][2] is MISSING) and _can_be_told(end):
                empty.append(frozenset(_decided(end)))
        if empty:
            frame.unbound[key] = (held, empty)


def _decided(path: Path | None) -> list[tuple[object, object]]:
    """What was decided about unknown values on a way."""
    found: list[tuple[object, object]] = []
    while path is not None:
        if type(path[1]) is Unknown:
            found.append((path[1], path[2]))
        path = path[0]
    return found


def _can_be_told(path: Path | None) -> bool:
    """Will it be seen in a later round that the same was decided? Questions about numbers that change, as that of the
    round, are not about the same."""
    vague = False
    while path is not None:
        if type(path[1]) is Round:
            if vague:
                return False
        elif type(path[1]) is not Unknown:
            vague = True
        path = path[0]
    return True
