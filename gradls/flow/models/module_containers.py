"""Sequential, ModuleList, ModuleDict and AveragedModel: what is their own."""

from __future__ import annotations

import ast
from functools import partial
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.models.modules import contents, has_keys, kept
from gradls.flow.models.registry import function, method
from gradls.flow.values import (
    ITEMS,
    MOST_ITEMS,
    NONE,
    Host,
    Instance,
    Mapping,
    Sequence,
    Value,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


@method("torch.nn.ModuleList", "append")
@method("torch.nn.Sequential", "append")
@method("torch.nn.ParameterList", "append")
def append(run: Run, receiver: Instance, call: Call) -> Value:
    items, given = receiver.fields.get(ITEMS), call.get(0)
    run.event("container-filled", call.node, receiver, how="append", call=call)
    if given is None:
        return receiver
    value = kept(run, receiver, given, call.node)
    if isinstance(items, Sequence):
        run.state.set(items.fields, "items", (*items.items, value))
    elif isinstance(items, Mapping):
        run.state.set(items.entries, str(len(items.entries)), value)
    return receiver


@method("torch.nn.ModuleList", "extend", "__iadd__")
@method("torch.nn.ParameterList", "extend", "__iadd__")
@method("torch.nn.Sequential", "extend")
@method("torch.nn.ModuleDict", "update")
@method("torch.nn.ParameterDict", "update")
def extend(run: Run, receiver: Instance, call: Call) -> Value:
    items, value = receiver.fields.get(ITEMS), call.get(0)
    run.event("container-filled", call.node, receiver, how="extend", call=call)
    held = value.fields.get(ITEMS) if isinstance(value, Instance) else None
    value = held if isinstance(held, (Sequence, Mapping)) else value
    keep = partial(kept, run, receiver, at=call.node)
    if isinstance(items, Mapping) and value is not None and not (isinstance(value, Mapping) and value.rest is None):
        rest = value.rest if isinstance(value, Mapping) else run.unknown("element")
        known = [part if part is items.rest else keep(part) for part in (items.rest, rest) if part is not None]
        run.state.set(items.fields, "rest", run.join.values(known))
    if isinstance(items, Sequence) and isinstance(value, Sequence):
        run.state.set(items.fields, "items", (*items.items, *(keep(item) for item in value.items))[:MOST_ITEMS])
        if len(items.items) == MOST_ITEMS:
            run.state.set(items.fields, "rest", run.unknown("element"))
        if value.rest is not None:
            run.state.set(items.fields, "rest", keep(value.rest))
    elif isinstance(items, Sequence) and value is not None:
        run.state.set(items.fields, "rest", run.unknown("element"))
    elif isinstance(items, Mapping) and isinstance(value, Mapping):
        for key, item in value.entries.items():
            run.state.set(items.entries, key, keep(item))
    return receiver


@method("torch.nn.ModuleList", "__getitem__")
@method("torch.nn.Sequential", "__getitem__")
@method("torch.nn.ModuleDict", "__getitem__")
@method("torch.nn.ParameterList", "__getitem__")
@method("torch.nn.ParameterDict", "__getitem__")
def get_item(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.subscripts import get_item as of

    items = receiver.fields.get(ITEMS)
    if items is None:
        return run.unknown("item")
    if isinstance(items, Mapping) and not has_keys(receiver):
        items = Sequence(run.state, "list", tuple(items.entries.values()), items.rest)
    found = of(run, items, call.args[0], call.node)
    if isinstance(found, Sequence) and isinstance(items, Sequence):
        part = Instance(run.state, receiver.cls, run.at(call.node))
        part.fields[ITEMS] = found
        return part
    return found


@method("torch.nn.ModuleDict", "__setitem__")
@method("torch.nn.ParameterDict", "__setitem__")
@method("torch.nn.ModuleList", "__setitem__")
@method("torch.nn.ParameterList", "__setitem__")
@method("torch.nn.Sequential", "__setitem__")
def set_item(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.subscripts import set_item as of

    items = receiver.fields.get(ITEMS)
    run.event("container-filled", call.node, receiver, how="set", call=call)
    if items is not None and isinstance(call.node, ast.expr):
        index, value = call.args[0], kept(run, receiver, call.args[1], call.node)
        name = str(index.value) if isinstance(index, Host) and index.known else "*"
        old = dict(contents(receiver)).get(name)
        of(run, items, index, value, call.node, False)
        run.event("attribute-set", call.node, receiver, name=name, assigned=value, old=old, augmented=False)
    return NONE


@method("torch.nn.ModuleDict", "items", "keys", "values")
@method("torch.nn.ParameterDict", "items", "keys", "values")
def mapping_views(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_method

    items = receiver.fields.get(ITEMS)
    name = getattr(getattr(call.node, "func", None), "attr", "items")
    return call_method(run, items, name, call) if items is not None else run.unknown("call")


@function("torch.optim.swa_utils.AveragedModel")
def averaged(run: Run, path: str, call: Call) -> Value:
    """A deep copy of a module, whose parameters follow those of the module."""
    from gradls.flow.models.utilities import copied

    inner = call.get(0, "model")
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if inner is not None:
        instance.fields["module"] = copied(run, inner, {})
    return instance


@method("torch.optim.swa_utils.AveragedModel", "__call__", "forward")
def call_averaged(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_value

    inner = receiver.fields.get("module")
    return call_value(run, inner, call) if inner is not None else run.unknown("call")


@method("torch.optim.swa_utils.AveragedModel", "update_parameters")
def update_parameters(run: Run, receiver: Instance, call: Call) -> Value:
    return NONE
