"""copy, functools, itertools, collections: what programs put values through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.flow import dataclass_fields, elements
from gradls.flow.arguments import Call
from gradls.flow.dataclass_fields import FIELD
from gradls.flow.graph import At, Edge, Node
from gradls.flow.hierarchy import find_in_class
from gradls.flow.models.containers import to_mapping, to_sequence
from gradls.flow.models.registry import function
from gradls.flow.unknown_modules import COPY_OF, FROZEN, is_frozen
from gradls.flow.values import (
    NONE,
    Choice,
    Class,
    Host,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function("copy.deepcopy")
def deepcopy(run: Run, path: str, call: Call) -> Value:
    """Fresh leaves with the same requires_grad; raises on tensors with a graph."""
    value = call.get(0, "x")
    if value is None:
        return run.unknown("call", "deepcopy")
    run.event("deepcopy", call.node, value, computed=list(_computed(value, "", set())))
    return copied(run, value, {})


def _computed(value: Value, way: str, seen: set[int]) -> Iterator[tuple[str, Tensor, At | None]]:
    """The tensors with a graph in a value: by which attributes or keys, the tensor, where it was computed. Unknown code
    that has an object may have cleared what it holds."""
    if id(value) in seen or (isinstance(value, Instance) and value.fields.get("*escaped")):
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if value.leaf is False and value.requires_grad is True and not value.is_parameter:
            yield way, value, value.node.at
    elif isinstance(value, Instance):
        own = ("__deepcopy__", "__getstate__", "__reduce__", "__reduce_ex__")
        if not isinstance(value.cls, Class) or not any(find_in_class(value.cls, name)[0] for name in own):
            for name, field in value.fields.items():
                if isinstance(field, Value) and isinstance(name, str):
                    part = "" if name.startswith("*") else f"{way}.{name}" if way else name
                    yield from _computed(field, part or way, seen)
    elif isinstance(value, Sequence):
        for number, item in enumerate(value.elements):
            yield from _computed(item, f"{way}[{number}]", seen)
    elif isinstance(value, Mapping):
        for key, item in value.entries.items():
            yield from _computed(item, f"{way}[{key!r}]", seen)


def copied(run: Run, value: Value, memo: dict[int, Value]) -> Value:
    """A deep copy of a value; what is shared inside it stays shared."""
    found = memo.get(id(value))
    if found is not None:
        return found
    if isinstance(value, Tensor):
        node = Node(run.state, "deepcopy", None, kind="leaf", path=run.path)
        tensor = Tensor(
            run.state, node, requires_grad=value.requires_grad, leaf=value.leaf, dtype=value.dtype, shape=value.shape,
            is_parameter=value.is_parameter,
        )  # fmt: skip
        node.leaf = tensor
        node.scalar = value.node.scalar
        tensor.name = value.name
        tensor.fields["exact"] = value.fields.get("exact")
        memo[id(value)] = tensor
        gradient = value.fields.get("grad")
        if isinstance(gradient, Tensor) and not value.is_parameter:
            # That of a parameter is left behind.
            tensor.fields["grad"] = other = copied(run, gradient, memo)
            for mark in ("presumed", "filled"):
                if mark in gradient.fields:
                    other.fields[mark] = gradient.fields[mark]  # type: ignore[attr-defined]
            other.fields["of"] = tensor  # type: ignore[attr-defined]
        return tensor
    if isinstance(value, Instance):
        instance = Instance(run.state, value.cls, value.at)
        # Layers of a Sequential have its name, and get that of the copy.
        whole = memo.setdefault(0, value)
        instance.name = value.name if value.name != getattr(whole, "name", "") else ""
        memo[id(value)] = instance
        instance.data, instance.open = dict(value.data), value.open
        for name, field in value.fields.items():
            instance.fields[name] = copied(run, field, memo) if isinstance(field, Value) else field
            if isinstance(field, Tensor) and field.owner is value:
                instance.fields[name].owner = instance
        return instance
    if isinstance(value, Sequence):
        items = tuple(copied(run, item, memo) for item in value.items)
        rest = copied(run, value.rest, memo) if value.rest is not None else None
        return Sequence(run.state, value.kind, items, rest, value.names)
    if isinstance(value, Mapping):
        entries = {key: copied(run, item, memo) for key, item in value.entries.items()}
        return Mapping(run.state, entries, copied(run, value.rest, memo) if value.rest is not None else None)
    if isinstance(value, Choice):
        return Choice(tuple(copied(run, option, memo) for option in value.options))
    if isinstance(value, Unknown):
        # What is done to the copy is not done to this.
        other = run.unknown("call", "deepcopy")
        other.plain, other.unrecorded = value.plain, value.unrecorded
        other.fields[COPY_OF] = value
        if is_frozen(value):
            other.fields[FROZEN] = True
        memo[id(value)] = other
        return other
    return value


@function("copy.copy")
def shallow_copy(run: Run, path: str, call: Call) -> Value:
    value = call.get(0, "x")
    if isinstance(value, Tensor):
        from gradls.flow.models.factories import rewrapped
        from gradls.flow.operations import cut_node

        if value.leaf is True:
            return copied(run, value, {})
        # A leaf with the flag and the memory of the other.
        node = cut_node(run, "rewrap", "copy", [Edge(value.node, value.requires_grad)], run.at(call.node))
        return rewrapped(run, value, node, value.requires_grad)
    if isinstance(value, Sequence):
        return Sequence(run.state, value.kind, value.items, value.rest, value.names)
    if isinstance(value, Mapping):
        return Mapping(run.state, dict(value.entries), value.rest)
    if isinstance(value, Instance):
        instance = Instance(run.state, value.cls, value.at)
        instance.data, instance.open = {**value.data, "shallow": True}, value.open
        instance.fields.update(value.fields)
        return instance
    return value if value is not None else run.unknown("call")


@function("functools.wraps")
def wraps(run: Run, path: str, call: Call) -> Value:
    """A decorator that changes nothing but names."""
    return run.lib(path)


@function("functools.partial")
def partial(run: Run, path: str, call: Call) -> Value:
    """The arguments given now come before those of the later call."""
    instance = Instance(run.state, run.lib("functools.partial"), run.at(call.node))
    instance.data["call"] = call
    return instance


def call_partial(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_value

    first: Call = receiver.data["call"]
    if not first.args:
        return run.unknown("call", "partial")
    args, kwargs = [*first.args[1:], *call.args], first.kwargs | call.kwargs
    return call_value(run, first.args[0], Call(call.node, args, kwargs, first.unsure or call.unsure))


@function("itertools.chain")
def chain(run: Run, path: str, call: Call) -> Value:
    made = elements.concatenated(run, "iterator", [to_sequence(run, "list", value) for value in call.args])
    if call.unsure:
        rest = run.unknown("element")
        made.fields["rest"] = rest if made.rest is None else run.join.values([made.rest, rest])
    return made


@function("itertools.chain.from_iterable")
def chain_from_iterable(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, Sequence):
        return chain(run, path, Call(call.node, list(value.elements), unsure=value.rest is not None))
    return run.unknown("call", "chain")


@function("collections.OrderedDict", "collections.defaultdict")
def dictionary(run: Run, path: str, call: Call) -> Value:
    args = call.args[1:] if path.endswith("defaultdict") else call.args
    result = to_mapping(run, args[0] if args else None, call.kwargs)
    if path.endswith("defaultdict") and call.args:
        from gradls.flow.calls import call_value

        if result.rest is None and not result.entries:
            run.state.set(result.fields, "rest", call_value(run, call.args[0], Call(call.node, [])))
    return result


@function("torch.save")
def save(run: Run, path: str, call: Call) -> Value:
    """Writes a file; what it is given may be read by other code, as with every call."""
    from gradls.flow.calls import escape

    run.event("saved", call.node, call.get(0, "obj"))
    for value in call.values:
        escape(run, value)
    return NONE


@function("collections.deque")
def deque(run: Run, path: str, call: Call) -> Value:
    made = to_sequence(run, "list", call.get(0, "iterable"))
    if call.get(1, "maxlen") is not None:
        made.fields["unsure"] = True
    return made


@function("random.sample", "random.choices", "random.choice")
def drawn(run: Run, path: str, call: Call) -> Value:
    """Any of the elements of a sequence."""
    from gradls.flow.expressions import element

    population = call.get(0, "population", "seq")
    if population is None:
        return run.unknown("call", path)
    one = element(run, population)
    return one if path == "random.choice" else Sequence(run.state, "list", (), one)


@function("dataclasses.field")
def field(run: Run, path: str, call: Call) -> Value:
    """What a dataclass is told of one of its fields."""
    instance = Instance(run.state, run.lib(FIELD), run.at(call.node))
    instance.data.update(call.kwargs)
    return instance


@function("dataclasses.replace")
def replaced(run: Run, path: str, call: Call) -> Value:
    """A copy of an object with other values in some fields."""
    value = call.get(0, "obj")
    if not isinstance(value, Instance):
        return run.unknown("call", "replace")
    made = dataclass_fields.replaced(run, value, call.kwargs, call.node)
    if made is not None:
        return made
    instance = Instance(run.state, value.cls, run.at(call.node))
    instance.open = value.open
    instance.fields.update(value.fields)
    instance.fields.update({name: item for name, item in call.kwargs.items() if name != "obj"})
    return instance


@function("functools.reduce")
def reduce(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.calls import call_value
    from gradls.flow.expressions import elements_of

    if len(call.args) < 2:
        return run.unknown("call", "reduce")
    items = elements_of(run, call.args[1])
    items = [call.args[2], *items] if len(call.args) > 2 else items
    if not items:
        return run.unknown("call", "reduce")
    value = items[0]
    for item in items[1:12]:
        value = call_value(run, call.args[0], Call(call.node, [value, item]))
    whole = elements.is_whole(call.args[1]) and len(items) <= 12
    return value if whole or not isinstance(value, Host) else Host(value.kind, node=value.node)


@function("collections.namedtuple", "typing.NamedTuple")
def named_tuple(run: Run, path: str, call: Call) -> Value:
    """A class of tuples with named fields."""
    names = call.known(1, "field_names")
    given = call.get(1, "field_names")
    fields: tuple[str, ...] = ()
    if isinstance(names, str):
        fields = tuple(names.replace(",", " ").split())
    elif isinstance(given, Sequence):
        fields = tuple(str(getattr(item, "value", "")) for item in given.items)
    instance = Instance(run.state, run.lib("collections.namedtuple"), run.at(call.node))
    instance.data["names"] = fields
    return instance


def make_named_tuple(run: Run, receiver: Instance, call: Call) -> Value:
    names: tuple[str, ...] = receiver.data["names"]
    items = []
    for index, name in enumerate(names):
        value = call.get(index, name)
        items.append(value if value is not None else run.unknown("argument", name))
    return Sequence(run.state, "tuple", tuple(items), None, names)


def register() -> None:
    from gradls.flow.models.registry import METHODS

    METHODS["functools.partial", "__call__"] = call_partial
    METHODS["collections.namedtuple", "__call__"] = make_named_tuple


register()
