"""Methods of lists, tuples, sets, iterators and dictionaries."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from gradls.flow import elements, entries, registries
from gradls.flow.arguments import Call
from gradls.flow.escapes import put_into
from gradls.flow.iterators import exhausted
from gradls.flow.models.registry import method
from gradls.flow.nesting import all_held, held
from gradls.flow.values import (
    MOST_ITEMS,
    NONE,
    Host,
    Mapping,
    Sequence,
    Unknown,
    Value,
    host,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


def to_sequence(run: Run, kind: str, value: Value | None) -> Sequence:
    """A list, tuple or set of what `value` holds."""
    if value is None:
        return Sequence(run.state, kind)
    if isinstance(value, Sequence):
        if exhausted(value) is not None:
            return Sequence(run.state, kind)
        if kind == "set":
            return elements.doubted(elements.distinct(run, value.items, value.rest), value)
        return elements.doubted(Sequence(run.state, kind, value.items, value.rest), value)
    if isinstance(value, Mapping):
        rest = Host("str") if value.rest is not None else None
        return _listed(run, kind, value, tuple(host(key) for key in value.entries), rest)
    return Sequence(run.state, kind, (), expressions.element(run, value))


def _listed(run: Run, kind: str, held: Mapping, items: tuple[Value, ...], rest: Value | None) -> Sequence:
    """A list of something of each entry of a dictionary."""
    return elements.doubted(Sequence(run.state, kind, items, rest), held)


def to_mapping(run: Run, value: Value | None, kwargs: dict[str, Value]) -> Mapping:
    """A dictionary of pairs, of another dictionary, or of keyword arguments."""
    gathered = entries.Gathered(run)
    if isinstance(value, Mapping):
        gathered.put_all(value)
    elif isinstance(value, Sequence):
        for pair in value.items:
            key = pair.items[0] if isinstance(pair, Sequence) and len(pair.items) == 2 else None
            if isinstance(pair, Sequence) and isinstance(key, Host) and key.known:
                gathered.put(key.value, pair.items[1])
            else:
                gathered.put_anywhere(_of_pair(run, pair))
        if value.rest is not None:
            gathered.put_anywhere(_of_pair(run, value.rest))
    elif value is not None:
        gathered.put_anywhere(run.unknown("element"))
    for name, item in kwargs.items():
        gathered.put(name, item)
    return gathered.mapping()


def _of_pair(run: Run, pair: Value) -> Value:
    """The value of a pair with a key."""
    return pair.items[1] if isinstance(pair, Sequence) and len(pair.items) == 2 else run.unknown("element")


@method("list", "append")
@method("set", "add")
def append(run: Run, receiver: Sequence, call: Call) -> Value:
    value = call.get(0)
    if value is not None:
        _put(run, receiver, len(receiver.items), value, call)
    return NONE


def _put(run: Run, receiver: Sequence, place: int, value: Value, call: Call) -> None:
    # Each copies what is there.
    run.copied(len(receiver.items))
    value = held(run, receiver, value)
    elements.add(run, receiver, place, value)
    if "parts" in receiver.fields:
        elements.grown(run, receiver)
    run.event("append", call.node, receiver, appended=value, held=receiver.elements)
    if isinstance(call.node, ast.Call) and isinstance(call.node.func, ast.Attribute):
        put_into(run, call.node.func.value, value)


@method("list", "appendleft")
@method("list", "insert")
def insert(run: Run, receiver: Sequence, call: Call) -> Value:
    value = call.args[-1] if call.args else None
    index = call.known(0) if len(call.args) == 2 else 0
    if value is not None:
        _put(run, receiver, index if isinstance(index, int) else len(receiver.items), value, call)
        if not isinstance(index, int):
            elements.mix(run, receiver)
    return NONE


@method("list", "extend")
@method("set", "update")
def extend(run: Run, receiver: Sequence, call: Call) -> Value:
    value = call.get(0)
    added = to_sequence(run, "list", value)
    items = (*receiver.items, *all_held(run, receiver, added.items))
    if len(items) > MOST_ITEMS:
        added = Sequence(run.state, "list", (), run.unknown("element"))
        items = items[:MOST_ITEMS]
    in_order = receiver.whole and added.whole and receiver.kind != "set"
    if in_order or not any(isinstance(item, Host) for item in added.items):
        run.state.set(receiver.fields, "items", items)
    else:
        added = Sequence(run.state, "list", (), expressions.element(run, added))
    if elements.is_doubted(added):
        run.state.set(receiver.fields, "unsure", True)
    if "parts" in receiver.fields:
        elements.grown(run, receiver)
    if added.rest is not None:
        old, rest = receiver.rest, held(run, receiver, added.rest)
        run.state.set(receiver.fields, "rest", rest if old is None else run.join.values([old, rest]))
    return NONE


@method("list", "pop", "popleft")
def pop(run: Run, receiver: Sequence, call: Call) -> Value:
    index = call.known(0, default=-1)
    if (
        receiver.rest is None
        and receiver.items
        and isinstance(index, int)
        and -len(receiver.items) <= index < len(receiver.items)
    ):
        items = list(receiver.items)
        found = items.pop(index)
        run.state.set(receiver.fields, "items", tuple(items))
        return found
    found = run.join.values(receiver.elements) if receiver.elements else run.unknown("element")
    if receiver.rest is not None and index in (0, -1):
        run.state.set(receiver.fields, "items", receiver.items[1:] if index == 0 else receiver.items[:-1])
    elif receiver.rest is not None or not isinstance(index, int):
        elements.mix(run, receiver)
    return found


@method("list", "clear")
def clear(run: Run, receiver: Sequence, call: Call) -> Value:
    if elements.is_doubted(receiver):
        run.state.set(receiver.fields, "unsure", False)
    run.state.set(receiver.fields, "items", ())
    run.state.set(receiver.fields, "rest", None)
    return NONE


@method("sequence", "sort", "reverse")
def reorder(run: Run, receiver: Sequence, call: Call) -> Value:
    parts = receiver.elements
    name = getattr(getattr(call.node, "func", None), "attr", "")
    in_order = (parts[::-1] if name == "reverse" else elements.in_order(call, parts)) if receiver.whole else None
    if in_order is not None:
        run.state.set(receiver.fields, "items", in_order)
    elif len(parts) > 1:
        elements.mix(run, receiver)
    return NONE


@method("sequence", "remove", "discard")
def remove(run: Run, receiver: Sequence, call: Call) -> Value:
    value, items = call.get(0), receiver.items
    known = all(isinstance(item, Host) and item.known for item in items)
    if isinstance(value, Host) and value.known and known and receiver.whole:
        at = next((number for number, item in enumerate(items) if elements.is_same(item, value)), len(items))
        run.state.set(receiver.fields, "items", (*items[:at], *items[at + 1 :]))
    else:
        elements.mix(run, receiver)
    return NONE


@method("sequence", "copy")
def copy(run: Run, receiver: Sequence, call: Call) -> Value:
    return elements.doubted(Sequence(run.state, receiver.kind, receiver.items, receiver.rest, receiver.names), receiver)


@method("sequence", "index", "count", "numel", "__len__")
def integer(run: Run, receiver: Sequence, call: Call) -> Value:
    return Host("int")


@method("sequence", "_replace")
def replace(run: Run, receiver: Sequence, call: Call) -> Value:
    items = tuple(call.kwargs.get(name, item) for name, item in zip(receiver.names, receiver.items, strict=False))
    return Sequence(run.state, "tuple", items, None, receiver.names)


@method("sequence", "_asdict")
def as_dict(run: Run, receiver: Sequence, call: Call) -> Value:
    return Mapping(run.state, dict(zip(receiver.names, receiver.items, strict=False)))


@method("dict", "items")
def items(run: Run, receiver: Mapping, call: Call) -> Value:
    pairs = tuple(Sequence(run.state, "tuple", (host(key), value)) for key, value in receiver.entries.items())
    rest = Sequence(run.state, "tuple", (Host("str"), receiver.rest)) if receiver.rest is not None else None
    return _listed(run, "view", receiver, pairs, rest)


@method("dict", "values")
def values(run: Run, receiver: Mapping, call: Call) -> Value:
    return _listed(run, "view", receiver, tuple(receiver.entries.values()), receiver.rest)


@method("dict", "keys")
def keys(run: Run, receiver: Mapping, call: Call) -> Value:
    return to_sequence(run, "view", receiver)


@method("dict", "get", "pop", "setdefault")
def get(run: Run, receiver: Mapping, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "get")
    default = call.get(1, "default")
    if default is None and name != "pop":
        default = NONE
    key = call.known(0)
    if not isinstance(key, (str, int, float, bool)):
        return _of_any_key(run, receiver, name, default)
    if key not in receiver.entries:
        found = _among_the_rest(run, receiver.rest, default)
        if name == "setdefault":
            run.state.set(receiver.entries, key, held(run, receiver, found))
        return found
    found, there = receiver.entries[key], key not in receiver.unsure
    if not there and default is not None:
        found = run.join.values([found, default])
    if name == "setdefault" and not there:
        run.state.set(receiver.entries, key, held(run, receiver, found))
        run.state.set(receiver.fields, "unsure", receiver.unsure.difference((key,)))
    if name == "pop":
        if "registry" in receiver.fields:
            registries.drop(run, receiver, host(key), call.node)
        run.state.drop(receiver.entries, key)
        if not there:
            run.state.set(receiver.fields, "unsure", receiver.unsure.difference((key,)))
    return found


def _among_the_rest(run: Run, rest: Value | None, default: Value | None) -> Value:
    """The value of an entry that may be one of those of which the keys are not known."""
    if rest is None:
        return run.unknown("item") if default is None else default
    return rest if default is None or isinstance(rest, Unknown) else run.join.values([rest, default])


def _of_any_key(run: Run, receiver: Mapping, name: str, default: Value | None) -> Value:
    """The same for a key that is not known."""
    parts = [*receiver.entries.values(), *([receiver.rest] if receiver.rest is not None else [])]
    if default is not None:
        parts.append(default)
    found = run.join.values(parts) if parts else run.unknown("item")
    if name == "pop":
        entries.may_miss(run, receiver)
    elif name == "setdefault" and default is not None:
        entries.put_anywhere(run, receiver, held(run, receiver, default))
    return found


@method("dict", "update")
def update(run: Run, receiver: Mapping, call: Call) -> Value:
    added = to_mapping(run, call.get(0), call.kwargs)
    if call.unsure and added.rest is None:
        run.state.set(added.fields, "rest", run.unknown("element"))
    entries.update(run, receiver, added, call.node)
    return NONE


@method("dict", "copy")
def copy_dict(run: Run, receiver: Mapping, call: Call) -> Value:
    return _with_unsure(Mapping(run.state, dict(receiver.entries), receiver.rest), receiver.unsure)


def _with_unsure(mapping: Mapping, keys: frozenset[Any]) -> Mapping:
    if keys:
        mapping.fields["unsure"] = keys
    return mapping


@method("dict", "clear")
def clear_dict(run: Run, receiver: Mapping, call: Call) -> Value:
    for key in list(receiver.entries):
        if "registry" in receiver.fields:
            registries.drop(run, receiver, host(key), call.node)
        run.state.drop(receiver.entries, key)
    if receiver.unsure:
        run.state.set(receiver.fields, "unsure", frozenset())
    run.state.set(receiver.fields, "rest", None)
    return NONE


# This needs these models itself: they are called only when everything is there.
from gradls.flow import expressions  # noqa: E402
