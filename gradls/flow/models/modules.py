"""Modules of torch.nn: what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from gradls.autograd.modules import ModuleSpec, find_module, recurrent_parameters
from gradls.autograd.versions import ZERO_GRAD_TO_NONE, since
from gradls.flow import dtypes, truth
from gradls.flow.arguments import Call
from gradls.flow.classes import start_training
from gradls.flow.elements import is_doubted
from gradls.flow.hierarchy import MODULE, WRAPPERS, is_module
from gradls.flow.models.registry import function
from gradls.flow.values import (
    ITEMS,
    NONE,
    Choice,
    Host,
    Instance,
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

BEHIND = "behind"
"""Of the dictionary of a container: the names of those that stand behind the ones whose names are not known."""
FURTHER = "parameters"
"""The origin of what stands for further parameters of a module of the program, which `among` has if they are known."""
CONTAINERS = (
    "torch.nn.Sequential",
    "torch.nn.ModuleList",
    "torch.nn.ModuleDict",
    "torch.nn.ParameterList",
    "torch.nn.ParameterDict",
)


def create(run: Run, path: str, call: Call) -> Instance:
    """Make a module of a library class."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    start_training(run, instance)
    initialize(run, instance, path, call)
    run.event("module-made", call.node, instance, call=call)
    return instance


@function("torch.nn.Embedding.from_pretrained", "torch.nn.EmbeddingBag.from_pretrained")
def from_pretrained(run: Run, path: str, call: Call) -> Value:
    """An embedding with a given table, which is frozen unless `freeze=False`."""
    table, freeze = call.get(0, "embeddings"), call.get(1, "freeze")
    known = table.shape if isinstance(table, Tensor) and table.shape is not None and len(table.shape) == 2 else ()
    sizes: list[Value] = [Host("int") if size is None else host(size) for size in known or (None, None)]
    options = {name: value for name, value in call.kwargs.items() if name not in ("embeddings", "freeze")}
    made = create(run, path.rpartition(".")[0], Call(call.node, [*sizes, *call.args[2:]], options, call.unsure))
    frozen = True if freeze is None and not call.unsure else truth.truth(run, freeze or run.unknown("argument"))
    made.fields["weight"].fields["requires_grad"] = None if frozen is None else not frozen
    return made


def initialize(run: Run, instance: Instance, path: str, call: Call) -> None:
    """What the constructor of a library module puts into an object."""
    instance.data["path"] = path
    if path in CONTAINERS:
        _fill_container(run, instance, path, call)
        return
    if path in WRAPPERS:
        instance.fields["module"] = call.get(0, "module") or run.unknown("argument", "module")
    spec = find_module(path)
    if spec is None:
        if path != MODULE:
            instance.open = True
        return
    given = dict(zip(spec.init, call.args, strict=False)) | call.kwargs
    options = _defaults(path) | given
    instance.data["options"] = options
    dtype = options.get("dtype", NONE)
    instance.data["parameters"] = names = _own_parameters(run, spec, options)
    for name in names:
        parameter = run.leaf("Parameter", call.node, requires_grad=True, is_parameter=True)
        parameter.name, parameter.owner = name, instance
        parameter.fields["exact"] = run.outside["dtype"] if is_none(dtype) else dtypes.exactly(dtype)
        instance.fields[name] = parameter
        if path.startswith("torch.nn.Lazy"):
            parameter.fields["lazy"] = run.lazy = True
    for name in spec.buffers:
        buffer = run.leaf("buffer", call.node, dtype="int" if name.startswith("num_") else "float")
        buffer.name, instance.fields[name] = name, buffer
    instance.data["buffers"] = tuple(spec.buffers)


@cache
def _defaults(path: str) -> dict[str, Value]:
    """The options of a module when nothing is said about them."""
    spec = find_module(path)
    return {} if spec is None else {name: host(value) for name, value in spec.defaults.items()}


def _own_parameters(run: Run, spec: ModuleSpec, options: dict[str, Value]) -> tuple[str, ...]:
    """The names of the parameters that a layer made with these options has; of a recurrent one of which the number of
    layers is not known, those of the first layer."""
    shape = recurrent_shape(spec, options)
    if shape is not None:
        layers, bidirectional, projection = shape
        bias = _is_on(run, options.get("bias"))
        return recurrent_parameters(layers, bidirectional, bias, projection)
    return tuple(
        name
        for name, condition in spec.parameters
        if all(_is_on(run, options.get(part)) for part in condition.split(",") if part)
    )


def recurrent_shape(spec: ModuleSpec, options: dict[str, Value]) -> tuple[int, bool, bool] | None:
    """How many layers a recurrent module has, whether in both directions, and whether it projects; None if it is none,
    or that is not known."""
    if "num_layers" not in spec.init or spec.kind != "recurrent":
        return None
    given = [options.get(name, default) for name, default in _ONE_LAYER.items()]
    values = [value.value for value in given if isinstance(value, Host) and value.known]
    layers, both, projection = values if len(values) == len(given) else (0, 0, 0)
    if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS or not isinstance(projection, int):
        return None
    return layers, bool(both), projection > 0


MOST_LAYERS = 32
_ONE_LAYER = {"num_layers": Host("int", 1), "bidirectional": Host("bool", False), "proj_size": Host("int", 0)}


def _is_on(run: Run, value: Value | None) -> bool:
    return value is None or truth.truth(run, value) is not False


def _further(run: Run, call: Call) -> Unknown:
    """What stands for the arguments of which it is not known how many there are, nor where."""
    found = run.unknown("element")
    options = [option for one in call.others for option in (one.options if isinstance(one, Choice) else (one,))]
    found.among = tuple(option for option in options if isinstance(option, Instance))
    return found


def _fill_container(run: Run, instance: Instance, path: str, call: Call) -> None:
    from gradls.flow.models.containers import to_mapping

    first = call.get(0, "modules", "parameters", "values")
    run.event("container-filled", call.node, instance, how="init", call=call)
    content: Value
    if path == "torch.nn.Sequential":
        if len(call.args) == 1 and isinstance(first, Mapping):
            content = first
        else:
            content = Sequence(run.state, "list", tuple(call.args), _further(run, call) if call.unsure else None)
    elif first is None:
        content = Mapping(run.state) if path.endswith("Dict") else Sequence(run.state, "list")
    elif isinstance(first, Sequence) and path.endswith("Dict"):
        content = to_mapping(run, first, {})
    elif isinstance(first, Sequence):
        content = Sequence(run.state, "list", first.items, first.rest)
        content.fields["unsure"] = first.fields.get("unsure")
    elif isinstance(first, Mapping):
        content = Mapping(run.state, dict(first.entries), first.rest)
        content.fields["unsure"] = first.unsure
    else:
        content = Sequence(run.state, "list", (), first if isinstance(first, Unknown) else run.unknown("element"))
    instance.fields[ITEMS] = content
    if path.startswith("torch.nn.Parameter"):
        _make_parameters(run, instance, content, call.node)


def _make_parameters(run: Run, container: Instance, content: Value, at: ast.expr) -> None:
    """A new list or dictionary of parameters makes such of all tensors that it is given."""
    if isinstance(content, Mapping):
        for key, item in content.entries.items():
            content.entries[key] = kept(run, container, item, at)
    elif isinstance(content, Sequence):
        content.fields["items"] = tuple(kept(run, container, item, at) for item in content.items)
    rest = content.rest if isinstance(content, (Mapping, Sequence)) else None
    if isinstance(content, (Mapping, Sequence)) and rest is not None:
        content.fields["rest"] = kept(run, container, rest, at)


def kept(run: Run, container: Instance, value: Value, at: ast.expr) -> Value:
    """What a container module has of a value that it is given: those of parameters make a parameter of each tensor."""
    from gradls.flow.models.factories import parameter

    if not container.data.get("path", container.path).startswith("torch.nn.Parameter"):
        return value
    if isinstance(value, Choice):
        return run.join.values([kept(run, container, option, at) for option in value.options])
    if not isinstance(value, Tensor) or value.is_parameter:
        return value
    made = parameter(run, "torch.nn.Parameter", Call(at, [value]))
    assert isinstance(made, Tensor)
    made.node.several = value.node.several
    return made


def contents(instance: Instance) -> Iterator[tuple[str, Value]]:
    """What a container module holds, with the names that it gives: index or key. A star is for those of which the
    number is not known."""
    items = instance.fields.get(ITEMS)
    if isinstance(items, Sequence):
        yield from ((str(number), item) for number, item in enumerate(items.items))
        if items.rest is not None:
            yield "*", items.rest
    elif isinstance(items, Mapping):
        last = items.fields.get(BEHIND) or ()
        yield from ((str(key), item) for key, item in items.entries.items() if key not in last)
        if items.rest is not None:
            yield "*", items.rest
        yield from ((name, items.entries[name]) for name in last if name in items.entries)


def members(instance: Instance) -> Iterator[tuple[str, Value]]:
    """The attributes and contents of a module."""
    yield from contents(instance)
    for name, value in instance.fields.items():
        if isinstance(name, str) and isinstance(value, Value) and name not in (ITEMS, "training"):
            yield name, value


def unknown_parts(value: Value, seen: set[int] | None = None) -> tuple[Unknown, ...] | None:
    """The parts of a module of which nothing is known; None if it may have others than those that are seen."""
    seen = set() if seen is None else seen
    if isinstance(value, Unknown):
        return () if value.plain else (value,)
    if not isinstance(value, Instance) or id(value) in seen:
        return None if isinstance(value, Choice) else ()
    seen.add(id(value))
    if value.open or value.fields.get("*escaped"):
        return None
    found: tuple[Unknown, ...] = ()
    for _, member in members(value):
        parts = unknown_parts(member, seen)
        if parts is None:
            return None
        found += parts
    return found


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
    may_have_more = value.open or bool(value.fields.get("*escaped"))
    # Those that are its own come before those of the modules in it.
    for name, member in sorted(members(value), key=_is_no_tensor):
        if isinstance(member, Tensor):
            if member.is_parameter and id(member) not in seen:
                seen.add(id(member))
                found.append((prefix + name, member))
            may_have_more = may_have_more or _perhaps_itself(member) is not None
        elif isinstance(member, Instance) and is_module(member) is not False:
            inner, more = parameters_of(member, f"{prefix}{name}.", seen)
            found += inner
            may_have_more = may_have_more or more
        elif isinstance(member, (Unknown, Choice)):
            may_have_more = True
    return found, may_have_more


def _is_no_tensor(member: tuple[str, Value]) -> bool:
    return not isinstance(member[1], Tensor)


def _perhaps_itself(member: Tensor) -> Tensor | None:
    """The parameter that a conversion of it is, if there was nothing to convert."""
    source = member.data
    return source if member.leaf is None and isinstance(source, Tensor) and source.is_parameter else None


def perhaps_of(value: Value, seen: set[int] | None = None) -> list[Tensor]:
    """The parameters of which it is not known whether a module holds them: a branch decides, or how many modules there
    are, or whether a conversion changed anything."""
    seen = set() if seen is None else seen
    if not isinstance(value, Instance) or id(value) in seen:
        return []
    seen.add(id(value))
    found: list[Tensor] = []
    for _, member in members(value):
        if isinstance(member, (Choice, Unknown)):
            for option in member.options if isinstance(member, Choice) else member.among:
                if isinstance(option, Tensor) and option.is_parameter:
                    found.append(option)
                found += [tensor for _, tensor in parameters_of(option)[0]] + perhaps_of(option, seen)
        elif isinstance(member, Tensor) and (source := _perhaps_itself(member)) is not None:
            found.append(source)
        elif isinstance(member, Instance) and is_module(member) is not False:
            found += perhaps_of(member, seen)
    return found


def buffers_of(value: Value, prefix: str = "", seen: set[int] | None = None) -> tuple[list[tuple[str, Tensor]], bool]:
    """The registered buffers of a module with their qualified names, and whether there may be others."""
    seen = set() if seen is None else seen
    if not isinstance(value, Instance) or id(value) in seen:
        return [], isinstance(value, (Unknown, Choice))
    seen.add(id(value))
    found: list[tuple[str, Tensor]] = []
    may_have_more = value.open or bool(value.fields.get("*escaped"))
    for name in dict.fromkeys(value.data.get("buffers", ())):
        buffer = value.fields.get(name)
        if isinstance(buffer, Tensor):
            found.append((prefix + name, buffer))
        elif isinstance(buffer, (Unknown, Choice)):
            may_have_more = True
    for name, member in members(value):
        if isinstance(member, Instance) and is_module(member) is not False:
            inner, more = buffers_of(member, f"{prefix}{name}.", seen)
            found += inner
            may_have_more = may_have_more or more
        elif isinstance(member, (Unknown, Choice)):
            may_have_more = True
    return found, may_have_more


def hold(run: Run, container: Instance, name: object, value: Value) -> bool:
    """Put a module into a container under a name, which is no text if it is not known. False if this holds nothing."""
    items = container.fields.get(ITEMS)
    if isinstance(items, Sequence) and isinstance(name, str) and not is_doubted(items):
        # From here on its contents have names.
        named = {str(number): item for number, item in enumerate(items.items)}
        found = Mapping(run.state, {**named, name: value}, items.rest)
        if items.rest is not None:
            found.fields[BEHIND] = (name,)
        run.state.set(container.fields, ITEMS, found)
    elif isinstance(items, Sequence):
        run.state.set(items.fields, "items", (*items.items, value))
    elif isinstance(items, Mapping) and isinstance(name, str):
        if items.rest is not None and name not in items.entries:
            run.state.set(items.fields, BEHIND, (*(items.fields.get(BEHIND) or ()), name))
        run.state.set(items.entries, name, value)
    elif isinstance(items, Mapping):
        old = items.rest
        run.state.set(items.fields, "rest", value if old is None else run.join.values([old, value]))
    else:
        return False
    return True


def let_go(run: Run, container: Instance, name: str) -> None:
    """Take what a container module holds under a name out of it, if there is something."""
    items = container.fields.get(ITEMS)
    if isinstance(items, Mapping):
        run.state.drop(items.entries, name)


def modules_of(value: Value, seen: set[int] | None = None) -> tuple[list[Instance], bool]:
    """A module and all its submodules, and whether there may be others."""
    seen = set() if seen is None else seen
    if not isinstance(value, Instance):
        # A method of a module, called on its class.
        return [], True
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


def named_modules_of(
    value: Instance, prefix: str = "", seen: set[int] | None = None, *, deep: bool = True
) -> tuple[list[tuple[str, Instance]], bool]:
    """A module and all its submodules (or with `deep=False` its own ones only), with their qualified names, each once,
    and whether there may be others."""
    seen = {id(value)} if seen is None else seen
    found, more = [(prefix, value)] if deep else [], value.open
    for name, member in members(value):
        if isinstance(member, Instance) and is_module(member) is not False:
            if id(member) in seen:
                continue
            seen.add(id(member))
            full = f"{prefix}.{name}" if prefix else name
            if deep:
                inner, inner_more = named_modules_of(member, full, seen)
                found, more = found + inner, more or inner_more
            else:
                found.append((full, member))
        elif isinstance(member, (Unknown, Choice)):
            more = True
    return found, more


def has_keys(value: Value) -> bool:
    """Is this a container module that is iterated over by its keys?"""
    return isinstance(value, Instance) and isinstance(value.fields.get(ITEMS), Mapping) and "Dict" in _kind(value)


def _kind(container: Instance) -> str:
    """The library class of a container module, or of the class of the program that derives from it."""
    return str(container.data.get("path", container.path))


def elements(value: Value) -> list[Value] | None:
    """The elements of a container module that is iterated over; None if it is none."""
    if isinstance(value, Instance) and ITEMS in value.fields:
        return [item for _, item in contents(value)]
    return None


def keeps(call: Call) -> bool:
    """Does `zero_grad()` leave gradients of zero, because the call says so?"""
    return call.known(0, "set_to_none", default=True) is False


def clear_grads(run: Run, tensors: list[Tensor], call: Call, more: bool) -> None:
    """`zero_grad()` makes gradients None, unless the call or the version says otherwise; of `more` tensors than these,
    maybe, which are not known."""
    given = call.get(0, "set_to_none")
    default = since(run.target, ZERO_GRAD_TO_NONE)
    if (default if given is None else truth.truth(run, given)) is not True:
        return
    if more:
        run.state.set(run.outside, "cleared", run.state.tick())
    for tensor in tensors:
        run.state.set(tensor.fields, "grad", NONE)
        run.state.set(tensor.fields, "cleared", run.at(call.node))
        run.state.set(tensor.fields, "empty_since", run.state.clock)
