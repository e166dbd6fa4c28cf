"""What statements that perhaps were not run, or not to their end, leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradls.flow.elements import is_constant
from gradls.flow.state import MISSING, Assumed, Entries, Fields
from gradls.flow.values import Host, Instance, Sequence, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_FLAGS = ("requires_grad", "leaf")
Written = list[tuple[Fields, Any, list[Any]]]
"""Slots, and what was in them one after the other."""


def written(run: Run, mark: tuple[int, int], tensors: bool = False) -> Written:
    """What was made of flags, numbers and texts since `mark`, and of how much lists and dictionaries hold; which
    `tensors` took the place of others, too."""
    found: dict[tuple[int, Any], tuple[Fields, Any, list[Any]]] = {}
    for fields, key, old in run.state.trail[mark[0] :]:
        counts = _is_data(old) or old is MISSING or key == "items" or (tensors and isinstance(old, Tensor))
        if tensors and _is_flag(key, old):
            # Of a tensor that is new, too: what it became is undone when it comes to this.
            found.setdefault((id(fields), key), (fields, key, []))[2].append(old)
        elif (counts or isinstance(fields, (Assumed, Entries))) and fields.born <= mark[1]:
            found.setdefault((id(fields), key), (fields, key, []))[2].append(old)
    for fields, key, values in found.values():
        values.append(fields.get(key, MISSING))
    return list(found.values())


def doubt(run: Run, slots: Written, whole_rounds: bool = False) -> None:
    """It may be that it came to none of these writes, or to some only; or to those of `whole_rounds` of a loop, between
    which a list is empty that each of them fills and empties."""
    for fields, key, values in slots:
        if values[0] is MISSING and not isinstance(fields, Entries):
            # A name without a value is not asked for; an attribute may come from elsewhere.
            before = fields.elsewhere.get(key) if fields.elsewhere is not None else None
            values = values[1:] if before is None else [before, *values[1:]]
        if isinstance(fields, Assumed):
            run.state.drop(fields, key)
        elif all(_is_flag(key, value) for value in values):
            if any(value is not values[0] for value in values):
                run.state.set(fields, key, None)
        elif all(isinstance(value, Host) for value in values):
            known = {(type(value.value), value.value) for value in values if value.known and is_constant(value.value)}
            if len(known) > 1 or any(not value.known for value in values):
                run.state.set(fields, key, run.join.slot(key, values))
        elif all(_is_data(value) or isinstance(value, Tensor) for value in values):
            differ = any(value is not values[0] for value in values)
            if differ and not all(isinstance(value, Unknown) for value in values):
                run.state.set(fields, key, run.join.slot(key, values))
        elif key == "items" and all(isinstance(value, tuple) for value in values):
            if values[-1] or values[0] or not whole_rounds:
                _doubt_elements(run, fields, values)
        elif isinstance(fields, Entries) and MISSING in values:
            _doubt_entry(run, fields, key, values)


def _doubt_elements(run: Run, fields: Fields, values: list[tuple[Value, ...]]) -> None:
    """A list may hold what it held once. Of modules it is taken that loops do put them in."""
    longest = max(values, key=len)
    if all(len(value) == len(longest) for value in values) and all(isinstance(item, Host) for item in longest):
        run.state.set(fields, "items", run.join.items(values))
    elif len({len(value) for value in values}) > 1 and not any(isinstance(item, Instance) for item in longest):
        run.state.set(fields, "items", longest)
        run.state.set(fields, "unsure", True)


def _doubt_entry(run: Run, entries: Entries, key: Any, values: list[Any]) -> None:
    """A dictionary may have an entry or not."""
    there = [value for value in values if value is not MISSING]
    if there and not isinstance(there[-1], Instance):
        run.state.set(entries, key, there[-1])
        run.state.set(entries.about, "unsure", entries.about.get("unsure", frozenset()) | {key})


def doubt_flags(run: Run, mark: tuple[int, int]) -> None:
    """Flags, numbers and texts that are not what they were at `mark` may be something else by now."""
    first: dict[tuple[int, Any], tuple[Fields, Any, Any]] = {}
    for fields, key, old in run.state.trail[mark[0] :]:
        if isinstance(old, Host) and fields.born <= mark[1]:
            first.setdefault((id(fields), key), (fields, key, old))
    for fields, key, old in first.values():
        now = fields.get(key)
        if isinstance(now, Host) and old.known and now.known and old.value != now.value:
            run.state.set(fields, key, run.join.slot(key, [old, now]))


def _is_flag(key: Any, value: object) -> bool:
    """Is it what is known of a tensor? A name that has a value, or an attribute, may be called the same."""
    return key in _FLAGS and (value is None or isinstance(value, bool))


def _is_data(value: object) -> bool:
    """Is it a number, a text, or a list of some, or not known?"""
    if isinstance(value, Sequence):
        return all(isinstance(element, (Host, Unknown)) for element in value.elements)
    return isinstance(value, (Host, Unknown))
