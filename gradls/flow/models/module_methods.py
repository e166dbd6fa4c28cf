"""The methods of modules."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.dtypes import exactly, of_value
from gradls.flow.elements import LOOSE
from gradls.flow.hierarchy import MODULE, find_in_class, is_module
from gradls.flow.models.attributes import doubt_wholes
from gradls.flow.models.modules import (
    FURTHER,
    buffers_of,
    clear_grads,
    hold,
    keeps,
    members,
    modules_of,
    named_modules_of,
    parameters_of,
    perhaps_of,
    unknown_parts,
)
from gradls.flow.models.registry import method
from gradls.flow.models.tensors import exact_conversion
from gradls.flow.nothing import KEYS
from gradls.flow.unknown_modules import FROZEN, STATE_OF, WHOSE
from gradls.flow.values import (
    FALSE,
    NONE,
    TRUE,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    host,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


@method(MODULE, "parameters")
def parameters(run: Run, receiver: Instance, call: Call) -> Value:
    """A one-shot iterator over the registered parameters."""
    found, more = _own_or_all(run, receiver, call.get(0, "recurse"), parameters_of(receiver))
    _may_be_frozen(run, receiver, more)
    rest = _further(run, receiver) if more else None
    made = Sequence(run.state, "iterator", tuple(tensor for _, tensor in found), rest)
    if more:
        made.fields[LOOSE] = True
    return made


@method(MODULE, "named_parameters")
def named_parameters(run: Run, receiver: Instance, call: Call) -> Value:
    found, more = _own_or_all(run, receiver, call.get(1, "recurse"), parameters_of(receiver))
    _may_be_frozen(run, receiver, more)
    prefix = call.get(0, "prefix")
    pairs: list[Value] = []
    for name, tensor in found:
        text = Host("str") if "*" in name else _prefixed(prefix, name)
        pairs.append(Sequence(run.state, "tuple", (text, tensor)))
    rest = Sequence(run.state, "tuple", (Host("str"), _further(run, receiver))) if more else None
    return Sequence(run.state, "iterator", tuple(pairs), rest)


def _own_or_all(
    run: Run, receiver: Instance, recurse: Value | None, found: tuple[list[tuple[str, Tensor]], bool]
) -> tuple[list[tuple[str, Tensor]], bool]:
    """Of the tensors of a module those that it has itself, if the others are not asked for: `recurse=False`."""
    tensors, more = found
    if recurse is None or truth.truth(run, recurse) is not False:
        return found
    if more and not receiver.open and not receiver.fields.get("*escaped"):
        more = any(not isinstance(part, (Instance, Host)) for _, part in members(receiver))
    # Names of its own have no dots.
    return [(name, tensor) for name, tensor in tensors if "." not in name], more


def _prefixed(prefix: Value | None, name: str) -> Host:
    """The name of a parameter behind the prefix that is asked for."""
    if prefix is None:
        return host(name)
    if not isinstance(prefix, Host) or not isinstance(prefix.value, str):
        return Host("str")
    return host(f"{prefix.value}.{name}" if prefix.value else name)


def _further(run: Run, receiver: Instance) -> Unknown:
    """What stands for the parameters of a module of which it is not known how many there are."""
    found = run.unknown(FURTHER)
    found.among = tuple(perhaps_of(receiver))
    parts = unknown_parts(receiver)
    if parts is not None:
        found.fields[WHOSE] = parts
    return found


def _may_be_frozen(run: Run, receiver: Instance, more: bool) -> None:
    """Who goes through the parameters may freeze those, too, of which it is not known whether they are among them."""
    for tensor in perhaps_of(receiver) if more else ():
        run.state.set(tensor.fields, "requires_grad", None)


@method(MODULE, "buffers", "named_buffers")
def buffers(run: Run, receiver: Instance, call: Call) -> Value:
    named = getattr(getattr(call.node, "func", None), "attr", "") == "named_buffers"
    found, more = _own_or_all(run, receiver, call.get(int(named), "recurse"), buffers_of(receiver))
    items: tuple[Value, ...] = tuple(tensor for _, tensor in found)
    rest: Value | None = run.unknown("buffer") if more else None
    if named:
        prefix = call.get(0, "prefix")
        items = tuple(Sequence(run.state, "tuple", (_prefixed(prefix, name), tensor)) for name, tensor in found)
        rest = Sequence(run.state, "tuple", (Host("str"), rest)) if rest is not None else None
    return Sequence(run.state, "iterator", items, rest)


@method(MODULE, "modules", "children")
def modules(run: Run, receiver: Instance, call: Call) -> Value:
    found, more = modules_of(receiver)
    name = getattr(getattr(call.node, "func", None), "attr", "modules")
    if name == "children":
        own = [member for _, member in members(receiver) if isinstance(member, Instance) and is_module(member)]
        return Sequence(run.state, "iterator", tuple(own), run.unknown("module") if more else None)
    return Sequence(run.state, "iterator", tuple(found), run.unknown("module") if more else None)


@method(MODULE, "named_modules", "named_children")
def named_modules(run: Run, receiver: Instance, call: Call) -> Value:
    own = getattr(getattr(call.node, "func", None), "attr", "") == "named_children"
    found, more = named_modules_of(receiver, deep=not own)
    pairs = tuple(
        Sequence(run.state, "tuple", (Host("str") if "*" in name else host(name), module)) for name, module in found
    )
    rest = Sequence(run.state, "tuple", (Host("str"), run.unknown("module"))) if more else None
    return Sequence(run.state, "iterator", pairs, rest)


@method(MODULE, "requires_grad_")
def requires_grad_(run: Run, receiver: Instance, call: Call) -> Value:
    given = call.get(0, "requires_grad")
    flag = True if given is None else truth.truth(run, given)
    found, _ = parameters_of(receiver)
    for _, tensor in found:
        run.state.set(tensor.fields, "requires_grad", flag)
        doubt_wholes(run, tensor, flag)
    for tensor in perhaps_of(receiver):
        if tensor.requires_grad is not flag:
            run.state.set(tensor.fields, "requires_grad", None)
    parts = unknown_parts(receiver) or [part for _, part in members(receiver) if isinstance(part, Unknown)]
    for part in parts:
        run.state.set(part.fields, FROZEN, flag is False)
    run.event("freeze", call.node, receiver, flag=flag, parameters=[tensor for _, tensor in found], parts=parts)
    return receiver


@method(MODULE, "train", "eval")
def train(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "train")
    given = call.get(0, "mode")
    mode: Value = FALSE if name == "eval" else TRUE if given is None else given
    found, more = modules_of(receiver)
    for module in found:
        run.state.set(module.fields, "training", mode)
    run.event("train-mode", call.node, receiver, mode=truth.truth(run, mode), modules=found, open=more)
    return receiver


@method(MODULE, "to", "type", "float", "double", "half", "bfloat16")
def convert(run: Run, receiver: Instance, call: Call) -> Value:
    """Changes the dtype of the floating parameters."""
    name = getattr(getattr(call.node, "func", None), "attr", "to")
    for value in (*call.args, *(value for name, value in call.kwargs.items() if name in ("dtype", "dst_type"))):
        dtype = of_value(value) if exactly(value) is not None else None
        if dtype is not None:
            trained = any(tensor.requires_grad for _, tensor in parameters_of(receiver)[0])
            run.event("module-dtype", call.node, receiver, dtype=dtype, trained=trained)
    for _, tensor in parameters_of(receiver)[0]:
        run.state.set(tensor.fields, "exact", exact_conversion(name, call, tensor.fields.get("exact")))
    for tensor in perhaps_of(receiver):
        run.state.set(tensor.fields, "exact", None)
    return receiver


@method(MODULE, "cuda", "cpu", "xpu", "share_memory", "compile", "to_empty")
def itself(run: Run, receiver: Instance, call: Call) -> Value:
    return receiver


@method(MODULE, "apply")
def apply_function(run: Run, receiver: Instance, call: Call) -> Value:
    """The function is called with each module, those within before the one that holds them. Of very many, one of each
    kind stands for the others."""
    from gradls.flow.calls import call_value

    target = call.get(0, "fn")
    if target is None:
        return receiver
    found = _from_inside(receiver, set())
    mark, called = run.state.mark(), found
    if len(found) > MOST_APPLIED:
        kinds = {(module.cls, tuple(module.fields)): module for module in found}
        called = list(kinds.values())[:MOST_APPLIED]
    for module in called:
        call_value(run, target, Call(call.node, [module]))
    if len(called) < len(found) and any(key == "requires_grad" for _, key in run.state.peek(mark)):
        _doubt_flags(run, found, called)
    return receiver


MOST_APPLIED = 32
"""Of so many modules each is given to a function that `apply` is called with."""


def _doubt_flags(run: Run, modules: list[Instance], called: list[Instance]) -> None:
    """What was done to the flags of some modules may have been done to those of the others."""
    ran = {id(module) for module in called}
    for module in modules:
        own = [] if id(module) in ran else [member for _, member in members(module) if isinstance(member, Tensor)]
        for tensor in own:
            if tensor.leaf is not False:
                run.state.set(tensor.fields, "requires_grad", None)


def _from_inside(module: Instance, seen: set[int]) -> list[Instance]:
    """A module behind all those in it: where one of several stands for others, each of these."""
    if id(module) in seen:
        return []
    seen.add(id(module))
    found: list[Instance] = []
    for _, member in members(module):
        for option in member.options if isinstance(member, Choice) else (member,):
            if isinstance(option, Instance) and is_module(option) is not False:
                found += _from_inside(option, seen)
    return [*found, module]


@method(MODULE, "_get_name")
def name_of_class(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(receiver.cls, "name", "") or receiver.path.rpartition(".")[2]
    return host(name)


@method(MODULE, "zero_grad")
def zero_grad(run: Run, receiver: Instance, call: Call) -> Value:
    found, more = parameters_of(receiver)
    run.event("zero-grad", call.node, receiver, parameters=[t for _, t in found], open=more, kept=keeps(call))
    clear_grads(run, [tensor for _, tensor in found], call, more)
    return NONE


@method(MODULE, "state_dict")
def state_dict(run: Run, receiver: Instance, call: Call) -> Value:
    """Detached aliases of the parameters and buffers, or with `keep_vars` these themselves."""
    keeps = call.get(2, "keep_vars")
    if call.unsure or (keeps is not None and truth.truth(run, keeps) is None):
        return run.unknown("call", "state_dict")
    keeps_them = keeps is not None and truth.truth(run, keeps) is True
    found, more = parameters_of(receiver)
    kept, more_kept = buffers_of(receiver)
    found, more = found + kept, more or more_kept
    held = [(name, tensor if keeps_them else _alias(run, tensor, call.node)) for name, tensor in found]
    entries = {name: tensor for name, tensor in held if "*" not in name}
    rests: list[Value] = [tensor for name, tensor in held if "*" in name]
    rest: Value | None = run.join.values(rests) if rests else None
    if more:
        rest = run.unknown("parameter")
        if not call.values and not call.unsure:
            rest.fields[STATE_OF] = receiver
    state = Mapping(run.state, dict(entries), rest)
    if not keeps_them:
        run.event("state-dict", call.node, receiver, result=state, parameters=[tensor for _, tensor in found])
    return state


def _alias(run: Run, tensor: Tensor, node: ast.expr) -> Tensor:
    from gradls.flow.operations import cut_tensor

    return cut_tensor(run, "state_dict", "state_dict", tensor, node, shares=True)


@method(MODULE, "load_state_dict")
def load_state_dict(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.writes import bump

    found, kept = parameters_of(receiver)[0], buffers_of(receiver)[0]
    run.event("load-state-dict", call.node, receiver, given=call.get(0, "state_dict"))
    for _, tensor in found + kept:
        bump(run, tensor, "load_state_dict", call.node)
        run.state.set(tensor.fields, "lazy", False)
    if call.known(2, "assign") is True and call.known(1, "strict", default=True) is True and not call.unsure:
        _put_new_parameters(run, receiver, call.node)
    lists = (Sequence(run.state, "list", (), Host("str")), Sequence(run.state, "list", (), Host("str")))
    keys = Sequence(run.state, "tuple", lists, None, KEYS)
    keys.fields["made"] = run.at(call.node)
    return keys


def _put_new_parameters(run: Run, receiver: Instance, node: ast.expr) -> None:
    """`assign=True` puts a new parameter in the place of each, under each of its names, with its flag."""
    old: Tensor | None = None
    for module in modules_of(receiver)[0]:
        for name, member in list(module.fields.items()):
            if not isinstance(name, str) or not isinstance(member, Tensor) or not member.is_parameter:
                continue
            flag, shape = member.requires_grad, member.shape
            new = run.leaf("Parameter", node, requires_grad=flag, dtype=member.dtype, shape=shape, is_parameter=True)
            new.name, new.owner = name, module
            run.state.set(module.fields, name, new)
            old = old or member
    if old is not None:
        run.event("reparametrized", node, receiver, name="*", assigned=receiver, old=old)


@method(MODULE, "reset_running_stats")
def reset_running_stats(run: Run, receiver: Instance, call: Call) -> Value:
    """Writes to the running statistics in place."""
    from gradls.flow.writes import bump

    for _, tensor in buffers_of(receiver)[0]:
        bump(run, tensor, "reset_running_stats", call.node)
    return NONE


@method(MODULE, "register_parameter")
def register_parameter(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name, value = call.known(0, "name"), call.get(1, "param")
    run.event("register-parameter", call.node, receiver, name=name, assigned=value)
    if value is not None:
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    return NONE


@method(MODULE, "register_buffer")
def register_buffer(run: Run, receiver: Instance, call: Call) -> Value:
    name, value = call.known(0, "name"), call.get(1, "tensor")
    given = call.get(0, "name")
    run.event(
        "register-buffer", call.node, receiver, name=name, given=given, assigned=value, taken=_taken(receiver, name)
    )
    if isinstance(name, str) and value is not None:
        run.state.set(receiver.fields, name, value)
        receiver.data["buffers"] = (*receiver.data.get("buffers", ()), name)
        if isinstance(value, Tensor) and not value.name:
            value.name = name
    return NONE


@method(MODULE, "add_module", "register_module")
def add_module(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name, value = call.known(0, "name"), call.get(1, "module")
    given = call.get(0, "name")
    run.event(
        "register-module", call.node, receiver, name=name, given=given, assigned=value, taken=_taken(receiver, name)
    )
    if isinstance(value, Choice):
        value = _accepted(run, value)
    if value is not None and hold(run, receiver, name, value):
        run.event("attribute-set", call.node, receiver, name=name or "*", assigned=value, old=None, augmented=False)
    elif value is not None:
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    return NONE


def _accepted(run: Run, value: Choice) -> Value:
    """What a module goes on with that was given one of these: it raises for classes, functions and tensors."""
    modules = [option for option in value.options if not isinstance(option, (Class, Function, Tensor))]
    return run.join.values(modules) if modules and len(modules) < len(value.options) else value


def _taken(receiver: Instance, name: object) -> Value | None:
    """What a module has under a name already, other than a buffer or a submodule."""
    if not isinstance(name, str) or name in receiver.data.get("buffers", ()) or ("deleted", name) in receiver.fields:
        return None
    own = receiver.fields.get(name)
    if own is None and isinstance(receiver.cls, Class):
        own = find_in_class(receiver.cls, name)[0]
    if isinstance(own, Function) and own.kind == "property":
        # It may end in the very look-up that finds nothing yet.
        return None
    return None if own is None or isinstance(own, (Unknown, Choice)) or is_module(own) is True else own


@method(MODULE, "__getattr__", "__getattribute__")
def special_getattr(run: Run, receiver: Instance, call: Call) -> Value:
    """`getattr`, called by its special name."""
    from gradls.flow.attributes import get_attribute

    name = call.known(0, "name")
    if isinstance(name, str) and not run.caught and isinstance(call.node, ast.expr):
        return get_attribute(run, receiver, name, call.node)
    return run.unknown("call", "getattr")


@method(MODULE, "__setattr__", "__delattr__")
def set_or_delete(run: Run, receiver: Instance, call: Call) -> Value:
    """`setattr` and `delattr`, called by their special names."""
    from gradls.flow.attributes import delete_attribute, set_attribute

    name, value = call.known(0, "name"), call.get(1, "value")
    if value is not None:
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    elif isinstance(name, str):
        delete_attribute(run, receiver, name, call.node)
    return NONE
