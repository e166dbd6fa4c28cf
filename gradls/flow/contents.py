"""What is in a value: the tensors and unknown parts of containers, and the histories of numbers."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.graph import Edge, Node, edge
from gradls.flow.values import Choice, Host, Instance, Mapping, Sequence, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

MOST_NESTED = 8
"""Containers within containers that are looked into: one may hold itself."""


def tensors_in(value: Value, nested: int = 0) -> Items[Value]:
    """The tensors and unknown values in an argument."""
    if type(value) is Tensor or type(value) is Unknown:
        return (value,)
    if type(value) is Host or nested > MOST_NESTED:
        return ()
    if isinstance(value, Unknown):
        return [value]
    if isinstance(value, Sequence):
        return [part for item in value.elements for part in tensors_in(item, nested + 1)]
    if isinstance(value, Mapping):
        items = value.entries.values() if value.rest is None else (*value.entries.values(), value.rest)
        return [part for item in items for part in tensors_in(item, nested + 1)]
    if isinstance(value, Choice):
        return [part for option in value.options for part in tensors_in(option, nested + 1)]
    if isinstance(value, Instance) and "sources" in value.data:
        # A distribution: what it draws, and says of what it is given, depends on its parameters.
        return [part for item in value.data["sources"] for part in tensors_in(item, nested + 1)]
    if isinstance(value, Instance) and value.open:
        return [value]
    return []


def as_now(run: Run, value: Value, nested: int = 0) -> Value:
    """A list or a dictionary as it is now, for those who look at it later: what is put into it is taken back before
    that. Anything else itself."""
    if nested > MOST_NESTED:
        return value
    if isinstance(value, Sequence):
        items = tuple([as_now(run, item, nested + 1) for item in value.items])
        if value.kind == "tuple" and all(new is old for new, old in zip(items, value.items, strict=True)):
            return value
        copy = Sequence(run.state, value.kind, items, value.fields["rest"], value.names)
        copy.fields.update({key: part for key, part in value.fields.items() if key not in ("items", "rest")})
        return copy
    if isinstance(value, Mapping):
        entries = {key: as_now(run, item, nested + 1) for key, item in value.entries.items()}
        mapping = Mapping(run.state, entries, value.fields["rest"])
        mapping.fields.update({key: part for key, part in value.fields.items() if key != "rest"})
        return mapping
    return value


def call_as_now(run: Run, call: Call) -> Call:
    """The arguments of a call as they are now."""
    kwargs = {name: as_now(run, value) for name, value in call.kwargs.items()}
    made = Call(call.node, [as_now(run, value) for value in call.args], kwargs, call.unsure)
    made.rest, made.others, made.gap = call.rest, call.others, call.gap
    return made


def host_history(value: Value, nested: int = 0) -> list[Node]:
    """The histories of numbers and arrays in an argument that were read out of tensors."""
    if isinstance(value, Host):
        return [value.node] if value.node is not None else []
    if isinstance(value, Instance):
        node = value.data.get("node") if value.path == "numpy.ndarray" else None
        return [node] if isinstance(node, Node) else []
    if isinstance(value, Sequence) and nested <= MOST_NESTED:
        return [node for item in value.elements for node in host_history(item, nested + 1)]
    return []


def opaque(run: Run, value: Value) -> Node:
    """The node of something unknown: the same for the same value."""
    fields = value.fields  # type: ignore[attr-defined]
    node = fields.get(("node",))
    if node is None:
        edges: tuple[Edge, ...] = ()
        whole, key = fields.get("derived", (None, None))
        if isinstance(whole, Unknown) and isinstance(key, (int, tuple)):
            # A part of it depends on what the whole depends on.
            edges = (edge(opaque(run, whole), False if is_plain(whole) else None),)
        origin = getattr(value, "origin", "") or "unknown"
        node = fields["node",] = Node(run.state, origin, None, edges, kind="opaque")
        node.label = getattr(value, "name", "")
        node.fields["value"] = value
    return node


def is_plain(value: Value) -> bool:
    """Is it known of an unknown value that it carries no gradient?"""
    return isinstance(value, Unknown) and (value.plain or value.unrecorded)


def requires_grad_in(value: Value | None) -> bool:
    """Is there a tensor in it that requires grad for certain?"""
    if type(value) is Tensor:
        return value.fields["requires_grad"] is True
    return value is not None and any(
        isinstance(tensor, Tensor) and tensor.requires_grad is True for tensor in tensors_in(value)
    )
