"""Subscripts: reading and writing `x[index]`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import Op, Output
from gradls.flow import calls, elements, entries, fillings, hierarchy, nothing, ranges, registries, truth, writes
from gradls.flow.arguments import Call
from gradls.flow.escapes import put_into
from gradls.flow.graph import Storage, saved
from gradls.flow.hierarchy import find_in_class
from gradls.flow.nesting import all_held, held
from gradls.flow.operations import result_of, unknown_operation
from gradls.flow.values import (
    OF_OPTIMIZER,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    host,
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run

SELECT = Op("select", ("input", "index"), differentiable=frozenset({"input"}), view="view")
INDEX = Op("index", ("input", "index"), differentiable=frozenset({"input"}), frees=True)
"""Indexing by a tensor copies, and saves the index."""
UNBIND = Op("unbind", ("input",), differentiable=frozenset({"input"}), view="view")
COPY = Op(
    "copy_slices",
    ("input", "index", "value"),
    differentiable=frozenset({"input", "value"}),
    inplace=True,
    outputs=(Output(),),
)


def get_item(run: Run, receiver: Value, index: Value, node: ast.AST) -> Value:
    """`receiver[index]`."""
    nothing.note_use(run, node, receiver, "an element of it is read")
    if isinstance(receiver, Choice):
        return run.join.values(
            [get_item(run, option, index, node) for option in receiver.options if not is_none(option)]
        )
    if isinstance(receiver, Tensor):
        return _of_tensor(run, receiver, index, node)
    if isinstance(receiver, Sequence):
        return _of_sequence(run, receiver, index)
    if isinstance(receiver, Mapping):
        found = _of_mapping(run, receiver, index)
        if isinstance(found, Tensor) and found.node.op in ("state_dict", "phi"):
            run.event("mapping-used", node, receiver)
        return found
    if isinstance(receiver, Instance):
        return _of_instance(run, receiver, index, node)
    if isinstance(receiver, Unknown):
        if isinstance(index, Tensor):
            return unknown_operation(run, "index", [receiver, index], node, pure=True)
        if isinstance(index, Host) and index.known and isinstance(index.value, (int, str)):
            return truth.item(run, receiver, index.value)
        return fillings.part_of(run, receiver, index) or fillings.item_of(run, receiver)
    if isinstance(receiver, Class) or (isinstance(receiver, Lib) and receiver.path.startswith(("typing", "torch."))):
        return receiver
    if isinstance(receiver, Lib) and receiver.path in ("os.environ", "sys.argv"):
        return run.setting(receiver.path)
    if isinstance(receiver, Host) and receiver.known and isinstance(index, Host) and index.known:
        try:
            return host(receiver.value[index.value])
        except Exception:
            return run.unknown("item")
    if isinstance(receiver, Host) and receiver.kind == "shape":
        return Host("int")
    return run.unknown("item")


def _is_copy(index: Value) -> bool | None:
    """Does indexing copy? Integers, slices, None and ... give views; tensors, lists and arrays copies."""
    if isinstance(index, Host):
        return False if index.kind in ("int", "slice", "none", "ellipsis", "bool") else None
    if isinstance(index, Tensor):
        return True
    if isinstance(index, Sequence):
        if index.kind == "tuple":
            verdicts = [_is_copy(item) for item in index.elements]
            return True if True in verdicts else None if None in verdicts else False
        return True
    return None


def _of_tensor(run: Run, receiver: Tensor, index: Value, node: ast.AST) -> Value:
    copies = _is_copy(index)
    if receiver.shape == () and isinstance(index, Host) and index.kind in ("int", "slice"):
        run.event("index-of-number", node, receiver, receiver.node)
    bound = {"input": receiver, "index": index}
    value = result_of(run, INDEX if copies else SELECT, bound, node)
    assert isinstance(value, Tensor)
    if copies is None:
        value.storage = Storage(run.state.tick(), receiver.storage)
        value.base = None
    elif copies and isinstance(index, Tensor) and value.requires_grad:
        value.node.saved = (saved("index", index),)
    if isinstance(node, ast.Subscript) and _is_corner(node.slice):
        ranges.remember(value, ranges.of_corner(ranges.of(receiver)))
    value.shape = _shape(receiver, index)
    value.node.scalar = None if value.shape is None else value.shape == ()
    return value


def _is_corner(index: ast.expr) -> bool:
    """Is it `:n, :m`, of which both begin where the dimension does?"""
    return (
        isinstance(index, ast.Tuple)
        and len(index.elts) == 2
        and all(isinstance(part, ast.Slice) and part.lower is None and part.step is None for part in index.elts)
    )


def _shape(receiver: Tensor, index: Value) -> tuple[int | None, ...] | None:
    if receiver.shape is None:
        return None
    if isinstance(index, Tensor):
        return _shape_of_copy(receiver.shape, index)
    if isinstance(index, Sequence) and index.rest is not None:
        return None
    parts = index.items if isinstance(index, Sequence) and index.kind == "tuple" else (index,)
    sizes: list[int | None] = []
    left = list(receiver.shape)
    dots = [number for number, part in enumerate(parts) if isinstance(part, Host) and part.kind == "ellipsis"]
    if len(dots) == 1:
        others = [part for part in parts if not (isinstance(part, Host) and part.kind in ("ellipsis", "none"))]
        whole = [Host("slice", slice(None))] * (len(left) - len(others))
        parts = (*parts[: dots[0]], *whole, *parts[dots[0] + 1 :])
    for part in parts:
        if not isinstance(part, Host) or part.kind not in ("int", "slice", "none"):
            return None
        if part.kind == "none":
            sizes.append(1)
        elif not left:
            return None
        elif part.kind == "int":
            left.pop(0)
        else:
            size = left.pop(0)
            known = size is not None and isinstance(part.value, slice) and _is_of_integers(part.value)
            sizes.append(len(range(*part.value.indices(size))) if known else None)
    return (*sizes, *left)


def _is_of_integers(index: slice) -> bool:
    parts = (index.start, index.stop, index.step)
    return index.step != 0 and all(part is None or isinstance(part, int) for part in parts)


def _shape_of_copy(shape: tuple[int | None, ...], index: Tensor) -> tuple[int | None, ...] | None:
    """The shape of `x[index]` for a tensor of integers or a mask."""
    if index.shape is None or index.dtype not in ("int", "bool") or len(shape) < len(index.shape):
        return None
    if index.dtype == "int":
        return (*index.shape, *shape[1:]) if shape else None
    return (None, *shape[len(index.shape) :])


def _of_sequence(run: Run, receiver: Sequence, index: Value) -> Value:
    items = receiver.items
    if isinstance(index, Host) and index.known and receiver.rest is None:
        try:
            found = items[index.value]
        except (IndexError, TypeError):
            return run.unknown("item")
        if isinstance(index.value, slice):
            return elements.doubted(Sequence(run.state, receiver.kind, found), receiver)
        return run.join.values(items) if isinstance(found, Host) and not receiver.whole else found
    at = index.value if isinstance(index, Host) and not receiver.fields.get(elements.LOOSE) else None
    if isinstance(at, int) and 0 <= at < len(items):
        return items[at]
    if (isinstance(index, Host) and isinstance(index.value, slice)) or (
        isinstance(index, Host) and index.kind == "slice"
    ):
        parts = receiver.elements
        return Sequence(run.state, receiver.kind, (), run.join.values(parts) if parts else run.unknown("item"))
    return run.join.values(receiver.elements) if receiver.elements else run.unknown("item")


def _of_mapping(run: Run, receiver: Mapping, index: Value) -> Value:
    if isinstance(index, Host) and index.known and isinstance(index.value, (str, int, float, bool)):
        if index.value in receiver.entries:
            return receiver.entries[index.value]
        return receiver.rest if receiver.rest is not None else run.unknown("item", str(index.value))
    parts = [*receiver.entries.values(), *([receiver.rest] if receiver.rest is not None else [])]
    return run.join.values(parts) if parts else run.unknown("item")


def _of_instance(run: Run, receiver: Instance, index: Value, node: ast.AST) -> Value:
    from gradls.flow.models.registry import find_method

    call = Call(node, [index])  # type: ignore[arg-type]
    if isinstance(receiver.cls, Class):
        function, _ = find_in_class(receiver.cls, "__getitem__")
        if isinstance(function, Function):
            return calls.call_function(run, function, call, receiver)
    model = find_method(receiver, "__getitem__")
    return model(run, receiver, call) if model is not None else run.unknown("item", receiver.name)


def set_item(run: Run, receiver: Value, index: Value, value: Value, target: ast.expr, augmented: bool) -> None:
    """`receiver[index] = value`; after `receiver[index] += y` the element itself was written already."""
    nothing.note_use(run, target, receiver, "an element of it is written")
    if isinstance(receiver, Choice):
        for option in receiver.options:
            if not is_none(option):
                set_item(run, option, index, value, target, augmented)
    elif isinstance(receiver, Tensor):
        if not (augmented and isinstance(value, Tensor) and value.storage is receiver.storage):
            writes.in_place(run, COPY, {"input": receiver, "index": index, "value": value}, target)
    elif isinstance(receiver, Mapping):
        if OF_OPTIMIZER in receiver.fields:
            optimizers.put_into_group(run, receiver, index, value, target)
        entries.put(run, receiver, index, value, target)
        run.event("item-set", target, receiver, index=index, assigned=value)
        if isinstance(target, ast.Subscript):
            put_into(run, target.value, value)
    elif isinstance(receiver, Sequence):
        if OF_OPTIMIZER in receiver.fields:
            optimizers.put_into_group(run, receiver, index, value, target)
        items = list(receiver.items)
        if isinstance(index, Host) and index.kind == "slice":
            new = value if isinstance(value, Sequence) else Sequence(run.state, "list", (), run.unknown("element"))
            more = new.rest if new.rest is None else held(run, receiver, new.rest)
            _replace(run, receiver, index, all_held(run, receiver, new.items), more)
        elif isinstance(index, Host) and isinstance(index.value, int) and -len(items) <= index.value < len(items):
            items[index.value] = held(run, receiver, value)
            run.state.set(receiver.fields, "items", tuple(items))
        else:
            value = held(run, receiver, value)
            weak = tuple(run.join.values([item, value]) for item in items)
            run.state.set(receiver.fields, "items", weak)
            if receiver.rest is not None:
                run.state.set(receiver.fields, "rest", run.join.values([receiver.rest, value]))
    elif isinstance(receiver, Instance):
        _set_on_instance(run, receiver, index, value, target)
    elif isinstance(receiver, Unknown):
        if value.requires_grad is not False if isinstance(value, Tensor) else hierarchy.is_module(value):
            run.event("unknown-item-set", target, receiver, assigned=value)
        fillings.put(run, receiver, index, value)


def delete_item(run: Run, receiver: Value, index: Value, target: ast.AST) -> None:
    """`del receiver[index]`."""
    if isinstance(receiver, Choice):
        for option in receiver.options:
            delete_item(run, option, index, target)
    elif isinstance(receiver, Mapping):
        if "registry" in receiver.fields:
            registries.drop(run, receiver, index, target)
        if not isinstance(index, Host) or not index.known:
            entries.may_miss(run, receiver)
        elif index.value in receiver.entries:
            run.state.drop(receiver.entries, index.value)
    elif isinstance(receiver, Sequence):
        _replace(run, receiver, index, ())


def _replace(run: Run, receiver: Sequence, index: Value, new: tuple[Value, ...], more: Value | None = None) -> None:
    """Put other elements in the place of those that an index or a slice stands for."""
    items = list(receiver.items)
    known = isinstance(index, Host) and index.known
    whole = known and isinstance(index.value, slice) and index.value == slice(None)  # type: ignore[attr-defined]
    if known and (whole or receiver.rest is None):
        place = index.value if isinstance(index.value, slice) else slice(index.value, index.value + 1 or None)  # type: ignore[attr-defined]
        try:
            items[place] = new
        except (TypeError, ValueError):
            return
        run.state.set(receiver.fields, "items", tuple(items))
        run.state.set(receiver.fields, "rest", more)
        return
    parts = [*receiver.elements, *new, *([more] if more is not None else [])]
    run.state.set(receiver.fields, "items", ())
    run.state.set(receiver.fields, "rest", run.join.values(parts) if parts else None)


def _set_on_instance(run: Run, receiver: Instance, index: Value, value: Value, target: ast.expr) -> None:
    from gradls.flow.models.registry import find_method

    call = Call(target, [index, value])
    if isinstance(receiver.cls, Class):
        function, _ = find_in_class(receiver.cls, "__setitem__")
        if isinstance(function, Function):
            calls.call_function(run, function, call, receiver)
            return
    model = find_method(receiver, "__setitem__")
    if model is not None:
        model(run, receiver, call)


def row(run: Run, tensor: Tensor) -> Tensor:
    """A row of a tensor that is iterated over or unpacked: one of several views."""
    node = ast.Constant(0)
    node.lineno, node.col_offset, node.end_lineno, node.end_col_offset = 1, 0, 1, 0
    value = result_of(run, UNBIND, {"input": tensor}, tensor.node.at.node if tensor.node.at else node)
    assert isinstance(value, Tensor)
    value.multi = "unbind"
    value.shape = tensor.shape[1:] if tensor.shape else None
    value.node.scalar = None if value.shape is None else value.shape == ()
    return value


# This begins the models: it comes when everything is there.
from gradls.flow.models import optimizers  # noqa: E402
