"""Modules of torch.nn: what they hold, and what calling them does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.autograd.losses import find_loss
from gradls.autograd.modules import ModuleSpec, find_module
from gradls.autograd.ops import find_op
from gradls.flow import layer_shapes, truth
from gradls.flow.classes import MODULE, is_module, is_module_class, start_training
from gradls.flow.graph import Edge, Node, Saved
from gradls.flow.models.registry import function, method
from gradls.flow.operations import apply, check_saved, derived_tensor, tensors_in
from gradls.flow.values import (
    FALSE,
    NONE,
    TRUE,
    Choice,
    Class,
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
    from gradls.flow.calls import Call
    from gradls.flow.run import Run

ITEMS = "*items"
"""The field in which container modules keep what they hold."""
CONTAINERS = (
    "torch.nn.Sequential",
    "torch.nn.ModuleList",
    "torch.nn.ModuleDict",
    "torch.nn.ParameterList",
    "torch.nn.ParameterDict",
)


def create(run: Run, path: str, call: Call) -> Value:
    """Make a module of a library class."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    start_training(run, instance)
    initialize(run, instance, path, call)
    run.event("module-made", call.node, instance, call=call)
    return instance


def initialize(run: Run, instance: Instance, path: str, call: Call) -> None:
    """What the constructor of a library module puts into an object."""
    instance.data["path"] = path
    if path in CONTAINERS:
        _fill_container(run, instance, path, call)
        return
    spec = find_module(path)
    if spec is None:
        if path != MODULE:
            instance.open = True
        return
    given = dict(zip(spec.init, call.args, strict=False)) | call.kwargs
    options = {name: host(value) for name, value in spec.defaults.items()} | given
    instance.data["options"] = options
    for name, condition in spec.parameters:
        if all(_is_on(run, options.get(part)) for part in condition.split(",") if part):
            parameter = run.leaf("Parameter", call.node, requires_grad=True, is_parameter=True)
            parameter.name, parameter.owner = name, instance
            instance.fields[name] = parameter
    for name in spec.buffers:
        instance.fields[name] = run.leaf("buffer", call.node)


def _is_on(run: Run, value: Value | None) -> bool:
    return value is None or truth.truth(run, value) is not False


def _fill_container(run: Run, instance: Instance, path: str, call: Call) -> None:
    first = call.get(0, "modules", "parameters", "values")
    content: Value
    if path == "torch.nn.Sequential":
        if len(call.args) == 1 and isinstance(first, Mapping):
            content = first
        else:
            content = Sequence(run.state, "list", tuple(call.args), run.unknown("element") if call.unsure else None)
    elif first is None:
        content = Mapping(run.state) if path.endswith("Dict") else Sequence(run.state, "list")
    elif isinstance(first, Sequence):
        content = Sequence(run.state, "list", first.items, first.rest)
    elif isinstance(first, Mapping):
        content = Mapping(run.state, dict(first.entries), first.rest)
    else:
        content = Sequence(run.state, "list", (), first if isinstance(first, Unknown) else run.unknown("element"))
    instance.fields[ITEMS] = content


def contents(instance: Instance) -> Iterator[tuple[str, Value]]:
    """What a container module holds, with the names that it gives: index or key. A star is for those of which the
    number is not known."""
    items = instance.fields.get(ITEMS)
    if isinstance(items, Sequence):
        yield from ((str(number), item) for number, item in enumerate(items.items))
        if items.rest is not None:
            yield "*", items.rest
    elif isinstance(items, Mapping):
        yield from ((str(key), item) for key, item in items.entries.items())
        if items.rest is not None:
            yield "*", items.rest


def members(instance: Instance) -> Iterator[tuple[str, Value]]:
    """The attributes and contents of a module."""
    yield from contents(instance)
    for name, value in instance.fields.items():
        if isinstance(name, str) and name not in (ITEMS, "training", "escaped", "*dirty"):
            yield name, value


def parameters_of(
    value: Value, prefix: str = "", seen: set[int] | None = None
) -> tuple[list[tuple[str, Tensor]], bool]:
    """The registered parameters of a module with their qualified names, and whether there may be others."""
    seen = set() if seen is None else seen
    found: list[tuple[str, Tensor]] = []
    if isinstance(value, Choice):
        return [pair for option in value.options for pair in parameters_of(option, prefix, seen)[0]], True
    if isinstance(value, Unknown):
        return [], True
    if not isinstance(value, Instance) or id(value) in seen:
        return [], False
    seen.add(id(value))
    may_have_more = value.open or bool(value.fields.get("escaped"))
    for name, member in members(value):
        if isinstance(member, Tensor):
            if member.is_parameter and id(member) not in seen:
                seen.add(id(member))
                found.append((prefix + name, member))
        elif isinstance(member, Instance) and is_module(member) is not False:
            inner, more = parameters_of(member, f"{prefix}{name}.", seen)
            found += inner
            may_have_more = may_have_more or more
        elif isinstance(member, (Unknown, Choice)):
            may_have_more = True
    return found, may_have_more


def modules_of(value: Instance, seen: set[int] | None = None) -> tuple[list[Instance], bool]:
    """A module and all its submodules, and whether there may be others."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return [], False
    seen.add(id(value))
    found, more = [value], value.open
    for _, member in members(value):
        if isinstance(member, Instance) and is_module(member) is not False:
            inner, inner_more = modules_of(member, seen)
            found += inner
            more = more or inner_more
        elif isinstance(member, (Unknown, Choice)):
            more = True
    return found, more


def forward(run: Run, instance: Instance, path: str, call: Call) -> Value:
    """Call a module of a library class."""
    spec = find_module(path)
    if path == "torch.nn.Sequential":
        return _forward_sequential(run, instance, call)
    loss = find_loss(path)
    if loss is not None:
        from gradls.flow.models.losses import apply_loss

        return apply_loss(run, loss, instance, call)
    if spec is None or (path in CONTAINERS) or path == MODULE:
        from gradls.flow.calls import call_unknown

        return call_unknown(run, instance, call)
    return _forward_layer(run, instance, spec, call)


def _forward_sequential(run: Run, instance: Instance, call: Call) -> Value:
    from gradls.flow.calls import Call as NewCall
    from gradls.flow.calls import call_value

    value: Value = call.args[0] if call.args else run.unknown("argument")
    for name, member in contents(instance):
        rounds = 2 if name == "*" and not isinstance(member, Unknown) else 1
        for _ in range(rounds):
            value = call_value(run, member, NewCall(call.node, [value]))
            if isinstance(value, Tensor) and isinstance(member, Instance) and value.node.layer is None:
                value.node.layer = member.at
    return value


def _forward_layer(run: Run, instance: Instance, spec: ModuleSpec, call: Call) -> Value:
    options = instance.data.get("options", {})
    first = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
    parameters = {name: instance.fields[name] for name, _ in spec.parameters if name in instance.fields}
    inplace = options.get("inplace")
    if isinstance(inplace, Host) and inplace.value is True and isinstance(first, Tensor):
        before = first.storage.writes
        result = _in_place_layer(run, spec, first, call)
        for write in first.storage.writes[len(before) :]:
            write.layer = instance.at
        return result
    if spec.eval_returns_input and instance.fields.get("training") is FALSE and first is not None:
        return first
    if spec.kind == "identity" and first is not None:
        return first
    op = find_op(spec.function) if spec.function else None
    if (
        op is not None
        and spec.outputs == "tensor"
        and spec.kind in ("activation", "shape")
        and not parameters
        and first is not None
    ):
        from gradls.flow.calls import Call as NewCall

        known = {name: value for name, value in options.items() if name in op.params and name != "inplace"}
        result = apply(run, spec.function, NewCall(call.node, [first], known))
        if isinstance(result, Tensor):
            result.dtype = result.dtype or "float"
            return result
    result = derived_tensor(
        run,
        spec.name.rpartition(".")[2],
        [*call.values, *parameters.values()],
        call.node,
        saves=True,
        shape=layer_shapes.of_layer(spec, options, first),
    )
    result.node.label = instance.name
    _save_for_layer(result, spec, first, parameters)
    if spec.kind == "recurrent" and len(call.args) > 1:
        _save_state(result, call.args[1], parameters)
    check_saved(run, result.node)
    return _structured(run, spec, result, options)


def _save_for_layer(result: Tensor, spec: ModuleSpec, first: Value | None, parameters: dict[str, Value]) -> None:
    if result.requires_grad is not True:
        return
    node = result.node
    saved: list[Saved] = []
    if spec.saves_output:
        saved.append(Saved(result.storage, result.storage.writes, "result", result))
    with_grad = isinstance(first, Tensor) and first.requires_grad is True
    if spec.saves_input and isinstance(first, Tensor):
        saved.append(Saved(first.storage, first.storage.writes, "input", first))
    for name in spec.saves_parameters | (spec.saves_parameters_with_input_grad if with_grad else frozenset()):
        parameter = parameters.get(name)
        if isinstance(parameter, Tensor) and parameter.requires_grad:
            saved.append(Saved(parameter.storage, parameter.storage.writes, name, parameter))
    node.saved = tuple(saved)
    node.frees = bool(saved) or spec.kind not in ("shape", "padding", "identity")


def _save_state(result: Tensor, state: Value, parameters: dict[str, Value]) -> None:
    """A recurrent layer keeps the state that it is given, and for its gradient the weights that it is multiplied by."""
    if result.requires_grad is not True:
        return
    states = [part for part in tensors_in(state) if isinstance(part, Tensor)]
    kept = [Saved(part.storage, part.storage.writes, "state", part) for part in states]
    if any(part.requires_grad is True for part in states):
        known = {entry.tensor for entry in result.node.saved}
        for name, weight in parameters.items():
            if (
                name.startswith("weight_hh")
                and isinstance(weight, Tensor)
                and weight.requires_grad
                and weight not in known
            ):
                kept.append(Saved(weight.storage, weight.storage.writes, name, weight))
    result.node.saved += tuple(kept)


def _in_place_layer(run: Run, spec: ModuleSpec, first: Tensor, call: Call) -> Value:
    """An activation or dropout with `inplace=True`."""
    from gradls.flow.calls import Call as NewCall

    op = find_op(spec.function) if spec.function else None
    if op is not None and "inplace" in op.params:
        return apply(run, spec.function, NewCall(call.node, [first], {"inplace": TRUE}))
    return derived_tensor(run, spec.name, [first], call.node)


def _structured(run: Run, spec: ModuleSpec, result: Tensor, options: dict[str, Value]) -> Value:
    """What forward returns: a tensor, or the tuple of a recurrent layer or of attention."""

    def pair(*items: Value) -> Value:
        return Sequence(run.state, "tuple", items)

    def sibling() -> Tensor:
        node = Node(run.state, "part", result.node.at, (Edge(result.node, result.requires_grad),), path=run.path)
        tensor = Tensor(run.state, node, requires_grad=result.requires_grad, leaf=result.leaf, dtype="float")
        tensor.inference = result.inference
        return tensor

    if spec.outputs == "rnn":
        return pair(result, sibling())
    if spec.outputs == "lstm":
        return pair(result, pair(sibling(), sibling()))
    if spec.outputs == "lstm_cell":
        return pair(result, sibling())
    if spec.outputs == "attention":
        return pair(result, sibling())
    if isinstance(options.get("return_indices"), Host) and options["return_indices"].value is True:  # type: ignore[attr-defined]
        return pair(result, run.leaf("indices", None, dtype="int"))
    return result


@method(MODULE, "forward")
def forward_by_name(run: Run, receiver: Instance, call: Call) -> Value:
    """`module.forward(x)`, and `super().forward(x)`."""
    from gradls.flow.classes import library_bases

    path = receiver.path or next((p for p in library_bases(receiver.cls) if p != MODULE), "")  # type: ignore[arg-type]
    return forward(run, receiver, path, call) if path else run.unknown("call")


@method(MODULE, "__init__")
def init_by_name(run: Run, receiver: Instance, call: Call) -> Value:
    """`super().__init__(...)` of a class that derives from a library module."""
    from gradls.flow.classes import is_module_path, library_bases

    if isinstance(receiver.cls, Class):
        for path in library_bases(receiver.cls):
            if is_module_path(path):
                initialize(run, receiver, path, call)
                break
    run.event("module-init", call.node, receiver)
    return NONE


@method(MODULE, "parameters")
def parameters(run: Run, receiver: Instance, call: Call) -> Value:
    """A one-shot iterator over the registered parameters."""
    found, more = parameters_of(receiver)
    rest = run.unknown("parameter") if more else None
    return Sequence(run.state, "iterator", tuple(tensor for _, tensor in found), rest)


@method(MODULE, "named_parameters")
def named_parameters(run: Run, receiver: Instance, call: Call) -> Value:
    found, more = parameters_of(receiver)
    pairs: list[Value] = []
    for name, tensor in found:
        text = Host("str") if "*" in name else host(name)
        pairs.append(Sequence(run.state, "tuple", (text, tensor)))
    rest = Sequence(run.state, "tuple", (Host("str"), run.unknown("parameter"))) if more else None
    return Sequence(run.state, "iterator", tuple(pairs), rest)


@method(MODULE, "buffers", "named_buffers")
def buffers(run: Run, receiver: Instance, call: Call) -> Value:
    return Sequence(run.state, "iterator", (), run.unknown("buffer"))


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
    found, more = modules_of(receiver)
    pairs = tuple(Sequence(run.state, "tuple", (Host("str"), module)) for module in found)
    rest = Sequence(run.state, "tuple", (Host("str"), run.unknown("module"))) if more else None
    return Sequence(run.state, "iterator", pairs, rest)


@method(MODULE, "requires_grad_")
def requires_grad_(run: Run, receiver: Instance, call: Call) -> Value:
    given = call.get(0, "requires_grad")
    flag = True if given is None else truth.truth(run, given)
    found, _ = parameters_of(receiver)
    for _, tensor in found:
        run.state.set(tensor.fields, "requires_grad", flag)
    run.event("freeze", call.node, receiver, flag=flag)
    return receiver


@method(MODULE, "train", "eval")
def train(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "train")
    given = call.get(0, "mode")
    mode: Value = FALSE if name == "eval" else TRUE if given is None else given
    found, _ = modules_of(receiver)
    for module in found:
        run.state.set(module.fields, "training", mode)
    run.event("train-mode", call.node, receiver, mode=truth.truth(run, mode))
    return receiver


@method(
    MODULE, "to", "cuda", "cpu", "float", "double", "half", "bfloat16", "xpu", "share_memory", "compile", "to_empty"
)
def itself(run: Run, receiver: Instance, call: Call) -> Value:
    return receiver


@method(MODULE, "apply")
def apply_function(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import Call as NewCall
    from gradls.flow.calls import call_value

    target = call.get(0, "fn")
    if target is not None:
        found, _ = modules_of(receiver)
        for module in found[:12]:
            call_value(run, target, NewCall(call.node, [module]))
    return receiver


@method(MODULE, "zero_grad")
def zero_grad(run: Run, receiver: Instance, call: Call) -> Value:
    found, more = parameters_of(receiver)
    run.event("zero-grad", call.node, receiver, parameters=[t for _, t in found], open=more)
    clear_grads(run, [tensor for _, tensor in found], call)
    return NONE


def clear_grads(run: Run, tensors: list[Tensor], call: Call) -> None:
    """`zero_grad()` makes gradients None, unless the call says otherwise."""
    given = call.get(0, "set_to_none")
    if given is not None and truth.truth(run, given) is not True:
        return
    for tensor in tensors:
        run.state.set(tensor.fields, "grad", NONE)
        run.state.set(tensor.fields, "cleared", run.at(call.node))


@method(MODULE, "state_dict")
def state_dict(run: Run, receiver: Instance, call: Call) -> Value:
    """Detached aliases of the parameters."""
    from gradls.flow.operations import cut_tensor

    found, more = parameters_of(receiver)
    entries = {
        name: cut_tensor(run, "state_dict", "state_dict", tensor, call.node, shares=True)
        for name, tensor in found
        if "*" not in name
    }
    rests = [
        cut_tensor(run, "state_dict", "state_dict", tensor, call.node, shares=True)
        for name, tensor in found
        if "*" in name
    ]
    rest: Value | None = run.join.values(rests) if rests else None
    if more:
        rest = run.unknown("parameter")
    return Mapping(run.state, dict(entries), rest)


@method(MODULE, "load_state_dict")
def load_state_dict(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.writes import bump

    found, _ = parameters_of(receiver)
    for _, tensor in found:
        bump(run, tensor, "load_state_dict", call.node)
    return run.unknown("keys")


@method(MODULE, "register_parameter")
def register_parameter(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name, value = call.known(0, "name"), call.get(1, "param")
    run.event("register-parameter", call.node, receiver, name=name, assigned=value)
    if isinstance(name, str) and value is not None:
        set_attribute(run, receiver, name, value, call.node)
    return NONE


@method(MODULE, "register_buffer")
def register_buffer(run: Run, receiver: Instance, call: Call) -> Value:
    name, value = call.known(0, "name"), call.get(1, "tensor")
    run.event("register-buffer", call.node, receiver, name=name, assigned=value)
    if isinstance(name, str) and value is not None:
        run.state.set(receiver.fields, name, value)
    return NONE


@method(MODULE, "__delattr__")
def delete_attribute(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import delete_attribute as delete

    name = call.known(0, "name")
    if isinstance(name, str):
        delete(run, receiver, name)
    return NONE


@method(MODULE, "__setattr__")
def set_attribute_by_name(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name, value = call.known(0, "name"), call.get(1, "value")
    if value is not None and isinstance(call.node, ast.expr):
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    return NONE


@method(MODULE, "add_module", "register_module")
def add_module(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name, value = call.known(0, "name"), call.get(1, "module")
    if value is not None:
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    return NONE


@method(
    MODULE,
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_backward_hook",
)
def register_hook(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    run.event("module-hook", call.node, receiver, name=name, hook=call.get(0, "hook"))
    return run.unknown("handle")


@method(MODULE, "__setattr__", "__delattr__")
def set_or_delete(run: Run, receiver: Instance, call: Call) -> Value:
    """`setattr` and `delattr`, called by their special names."""
    from gradls.flow.attributes import delete_attribute, set_attribute

    name, value = call.known(0, "name"), call.get(1, "value")
    if value is not None:
        set_attribute(run, receiver, name if isinstance(name, str) else "*", value, call.node)
    elif isinstance(name, str):
        delete_attribute(run, receiver, name)
    return NONE


@method("torch.nn.ModuleList", "append")
@method("torch.nn.Sequential", "append")
@method("torch.nn.ParameterList", "append")
def append(run: Run, receiver: Instance, call: Call) -> Value:
    items, value = receiver.fields.get(ITEMS), call.get(0)
    if isinstance(items, Sequence) and value is not None:
        run.state.set(items.fields, "items", (*items.items, value))
    return receiver


@method("torch.nn.ModuleList", "extend")
@method("torch.nn.ParameterList", "extend")
@method("torch.nn.ModuleDict", "update")
def extend(run: Run, receiver: Instance, call: Call) -> Value:
    items, value = receiver.fields.get(ITEMS), call.get(0)
    if isinstance(items, Sequence) and isinstance(value, Sequence):
        run.state.set(items.fields, "items", (*items.items, *value.items))
        if value.rest is not None:
            run.state.set(items.fields, "rest", value.rest)
    elif isinstance(items, Mapping) and isinstance(value, Mapping):
        for key, item in value.entries.items():
            run.state.set(items.entries, key, item)
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
    found = of(run, items, call.args[0], call.node)
    if isinstance(found, Sequence) and isinstance(items, Sequence):
        part = Instance(run.state, receiver.cls, run.at(call.node))
        part.fields[ITEMS] = found
        return part
    return found


@method("torch.nn.ModuleDict", "__setitem__")
@method("torch.nn.ParameterDict", "__setitem__")
@method("torch.nn.ModuleList", "__setitem__")
@method("torch.nn.Sequential", "__setitem__")
def set_item(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.subscripts import set_item as of

    items = receiver.fields.get(ITEMS)
    if items is not None and isinstance(call.node, ast.expr):
        of(run, items, call.args[0], call.args[1], call.node, False)
    return NONE


@method("torch.nn.ModuleDict", "items", "keys", "values")
@method("torch.nn.ParameterDict", "items", "keys", "values")
def mapping_views(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_method

    items = receiver.fields.get(ITEMS)
    name = getattr(getattr(call.node, "func", None), "attr", "items")
    return call_method(run, items, name, call) if items is not None else run.unknown("call")


@function("torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel", "torch.nn.parallel.DataParallel")
def wrapper(run: Run, path: str, call: Call) -> Value:
    """Calls the module that it wraps."""
    inner = call.get(0, "module")
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if inner is not None:
        instance.fields["module"] = inner
    return instance


@method("torch.nn.DataParallel", "__call__")
@method("torch.nn.parallel.DistributedDataParallel", "__call__")
def call_wrapped(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_value

    inner = receiver.fields.get("module")
    return call_value(run, inner, call) if inner is not None else run.unknown("call")


def elements(value: Value) -> list[Value] | None:
    """The elements of a container module that is iterated over; None if it is none."""
    if isinstance(value, Instance) and ITEMS in value.fields:
        return [item for _, item in contents(value)]
    return None


def is_plain_module(value: Value) -> bool:
    """Is `value` an object of a module class of the program or the library?"""
    return isinstance(value, Instance) and is_module_class(value.cls) is True
