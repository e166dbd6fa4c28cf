"""What lists, tuples and sets hold, and how certain that is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradls.flow.values import MOST_ITEMS, Host, Instance, Mapping, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.arguments import Call
    from gradls.flow.run import Run


LOOSE = "loose"
"""The slot of a list that says that others may be before or between the elements that are known."""


def distinct(run: Run, items: tuple[Value, ...], rest: Value | None = None) -> Sequence:
    """A set of these."""
    known = {item.value for item in items if isinstance(item, Host) and item.known and is_constant(item.value)}
    kept: list[Value] = []
    for item in items:
        if not isinstance(item, Host) or not item.known or item.value in known or not is_constant(item.value):
            kept.append(item)
            known.discard(item.value if isinstance(item, Host) and is_constant(item.value) else None)
    made = Sequence(run.state, "set", tuple(dict.fromkeys(kept)), rest)
    if len(kept) > 1 and any(not _is_itself(item) for item in kept):
        # Two of them may be equal.
        made.fields["unsure"] = True
    return made


def _is_itself(item: Value) -> bool:
    """Does it equal nothing else? Tensors and modules are told apart by what they are."""
    return item.known if isinstance(item, Host) else isinstance(item, (Tensor, Instance))


def is_constant(value: object) -> bool:
    """Is it a number, a text or None, which can be compared and be a key?"""
    return isinstance(value, (bool, int, float, str, type(None)))


def is_doubted(value: Value) -> bool:
    """May some of the elements that are known be missing?"""
    return isinstance(value, (Sequence, Mapping)) and bool(value.fields.get("unsure"))


def is_whole(value: Value | None) -> bool:
    """Are the elements that are known all that something has?"""
    return isinstance(value, (Sequence, Mapping)) and value.whole


def doubted(made: Sequence, of: Value) -> Sequence:
    """If some elements of what it is made of may be missing, some of it may be, too."""
    if is_doubted(of):
        made.fields["unsure"] = True
    return made


def add(run: Run, receiver: Sequence, place: int, value: Value) -> None:
    """Put something in at a place, which counts as that among the known elements."""
    items, rest = receiver.items, receiver.rest
    if isinstance(value, Host) and place == len(items) and (rest is not None or is_doubted(receiver)):
        # Where it is now is not known.
        run.state.set(receiver.fields, "rest", value if rest is None else run.join.values([rest, value]))
    elif receiver.kind != "set" or not any(item is value or is_same(item, value) for item in items):
        run.state.set(receiver.fields, "items", (*items[:place], value, *items[place:]))
        if rest is not None and place == len(items):
            run.state.set(receiver.fields, LOOSE, True)
        if receiver.kind == "set" and items and not (isinstance(value, Host) and value.known):
            run.state.set(receiver.fields, "unsure", True)


def begins(value: Value, items: list[Value]) -> bool:
    """Are these the first of what a list is known to hold?"""
    held = value.items if isinstance(value, Sequence) else ()
    return 0 < len(items) <= len(held) and all(one is other for one, other in zip(items, held, strict=False))


def like(run: Run, kind: str, of: Sequence | None, items: list[Value], rest: Value) -> Sequence:
    """What holds these, one for each of the first elements of something that has others besides. Tensors are told
    apart: their graphs differ."""
    if of is None or kind != "list" or not all(isinstance(item, Tensor) for item in items):
        return Sequence(run.state, kind, (), rest)
    same = next((item for one, item in zip(of.items, items, strict=False) if one is of.rest), rest)
    made = Sequence(run.state, kind, tuple(items), same)
    made.fields[LOOSE] = True
    return doubted(made, of)


def is_same(one: Value, other: Value) -> bool:
    """Are these the same known number or text?"""
    return isinstance(one, Host) and isinstance(other, Host) and one.known and other.known and one.value == other.value


def mix(run: Run, receiver: Sequence) -> None:
    """Of what it holds nothing is known any more but that it is some of this."""
    parts = receiver.elements
    run.state.set(receiver.fields, "items", ())
    run.state.set(receiver.fields, "rest", run.join.values(parts) if parts else None)


def in_order(call: Call, items: Iterable[Value]) -> tuple[Value, ...] | None:
    """What `sorted` and `sort` make of elements, where all that they compare is known."""
    items = tuple(items)
    if len(items) < 2:
        return items
    hosts = [item for item in items if isinstance(item, Host) and item.known]
    backwards = call.known(9, "reverse", default=False)
    if len(hosts) < len(items) or "key" in call.kwargs or not isinstance(backwards, bool):
        return None
    try:
        return tuple(sorted(hosts, key=lambda item: item.value, reverse=backwards))
    except TypeError:
        return None


def grown(run: Run, receiver: Sequence) -> None:
    """Something is put into what may be one of several lists, by branch: none of them is known to the end any more."""
    for part in receiver.fields.get("parts", ()):
        if part.rest is None:
            run.state.set(part.fields, "rest", run.unknown("element"))


def bounded(run: Run, kind: str, items: tuple[Value, ...], rest: Value | None) -> Sequence:
    """A sequence that is made of others: what doubles itself again and again has an end."""
    if len(items) > MOST_ITEMS:
        items, rest = items[:MOST_ITEMS], run.unknown("element")
    return Sequence(run.state, kind, items, rest)


def concatenated(run: Run, kind: str, parts: list[Sequence]) -> Sequence:
    """What several hold, one after the other."""
    items: list[Value] = []
    rests: list[Value] = []
    whole, unsure, loose = True, False, False
    for part in parts:
        loose = loose or bool(part.fields.get(LOOSE) or (rests and part.items))
        if whole or not any(isinstance(item, Host) for item in part.items):
            items += part.items
        else:
            rests += part.items  # Where these are is not known.
        if part.rest is not None:
            rests.append(part.rest)
        whole = whole and part.whole
        unsure = unsure or is_doubted(part)
    made = bounded(run, kind, tuple(items), run.join.values(rests) if rests else None)
    if unsure:
        made.fields["unsure"] = True
    if loose:
        made.fields[LOOSE] = True
    return made
