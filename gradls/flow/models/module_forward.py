"""Modules of torch.nn: what calling them does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gradls.autograd.losses import find_loss
from gradls.autograd.modules import ModuleSpec, find_module, recurrent_saves
from gradls.autograd.ops import find_op
from gradls.autograd.versions import FUSED_LSTM, since
from gradls.flow import dropout, dtypes, layer_shapes, nothing, repeated, truth, unfit_inputs
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.elements import is_doubted
from gradls.flow.graph import Edge, Node, Saved
from gradls.flow.graph import saved as keep
from gradls.flow.hierarchy import INIT_ALONE, MODULE, is_module_path, lacks_forward, library_bases
from gradls.flow.models.modules import CONTAINERS, contents, initialize
from gradls.flow.models.registry import method
from gradls.flow.operations import apply, check_saved, derived_tensor, more_of, unknown_operation
from gradls.flow.second_order import second_derivatives
from gradls.flow.values import (
    FALSE,
    ITEMS,
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
)
from gradls.flow.writes import bump

if TYPE_CHECKING:
    from gradls.flow.run import Run


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
        if path in CONTAINERS:
            run.event("no-forward", call.node, instance)
        from gradls.flow.calls import call_unknown

        return call_unknown(run, instance, call)
    return _forward_layer(run, instance, spec, call)


def _forward_sequential(run: Run, instance: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_value

    value: Value = call.args[0] if call.args else run.unknown("argument")
    items = instance.fields.get(ITEMS)
    if items is None:
        # Its own constructor was not run: whatever put something into it did so behind its back.
        return unknown_operation(run, "forward", [value, instance], call.node)
    unsure = isinstance(items, Sequence) and is_doubted(items)
    unordered = isinstance(items, Mapping) and items.rest is not None and bool(items.unsure)
    ends: list[Value] = []
    for name, member in contents(instance):
        layers = [member] * 2 if name == "*" and not isinstance(member, Unknown) else [member]
        # It is the last that a loop put in: what came between its rounds is not known.
        unsure = unsure or name == "*"
        if lacks_forward(member) and (unsure or (isinstance(items, Mapping) and name in items.unsure)):
            continue  # It is taken not to be there, where the whole is called.
        if name == "*" and isinstance(member, Choice):
            # Several of which not all may be there, in the order in which they came.
            layers = [option for option in member.options if not isinstance(option, Host)]
            unsure = True
        for layer, storages in zip(layers, _of_others(instance, name, layers), strict=True):
            given = value
            before = given.writes if isinstance(given, Tensor) else ()
            with repeated.as_another(run, storages):
                value = call_value(run, layer, Call(call.node, [value]))
            if unsure and isinstance(given, Tensor):
                # Which layer comes before this one depends on branches.
                for write in given.writes[len(before) :]:
                    write.certain = None
            if isinstance(value, Tensor) and isinstance(layer, Instance) and value.node.layer is None:
                value.node.layer = layer.at
        if unordered:
            ends.append(value)
    # What only some rounds of a loop have put in, under a name of its own, may be the last.
    return run.join.values(ends) if ends else value


def _of_others(instance: Instance, name: str, layers: list[Value]) -> list[repeated.Storages]:
    """For each of these layers, the memory that it has in common with others only as it stands for several."""
    if name != "*":
        return [repeated.NONE] * len(layers)
    known = [member for key, member in contents(instance) if key != "*"]
    return repeated.shared([*known, *layers])[len(known) :]


def _forward_layer(run: Run, instance: Instance, spec: ModuleSpec, call: Call) -> Value:
    options = instance.data.get("options", {})
    nothing.note_use(run, call.node, call.get(0), "a layer is given it")
    first = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
    if isinstance(first, Unknown) and spec.name in ("torch.nn.Embedding", "torch.nn.EmbeddingBag"):
        first.holds_integers(run.state)
    names = instance.data.get("parameters") or [name for name, _ in spec.parameters]
    parameters = {name: instance.fields[name] for name in names if name in instance.fields}
    for parameter in parameters.values() if run.lazy else ():
        if isinstance(parameter, Tensor) and "lazy" in parameter.fields:
            run.state.set(parameter.fields, "lazy", False)
    unfit_inputs.check_layer(run, instance, spec, first, call.node)
    inplace = options.get("inplace")
    if first is not None and _passes(spec, instance, options):
        return first
    if isinstance(inplace, Host) and inplace.value is True and isinstance(first, Tensor) and "Alpha" not in spec.name:
        before = first.writes
        mode = instance.fields.get("training") or (run.unknown("training") if run.alone else TRUE)
        result = _in_place_layer(run, spec, first, call, options | {"training": mode})
        for write in first.writes[len(before) :]:
            write.layer = instance.at
        return result
    _note_statistics(run, instance, spec, parameters, call)
    _renormalize(run, options, parameters, call)
    if first is not None and not parameters:
        computed = _as_function(run, spec, first, options, call)
        if computed is not None:
            return computed
    result = derived_tensor(
        run,
        spec.name.rpartition(".")[2],
        [*call.values, *more_of(run, call), *parameters.values()],
        call.node,
        dtype=dtypes.of_data(first) if spec.kind == "padding" else "float",
        saves=True,
        shape=layer_shapes.of_layer(spec, options, first),
        about=_second_derivatives(spec, first, parameters) if len(call.values) == 1 and not call.unsure else None,
    )
    result.node.label = instance.name
    if spec.kind == "dropout" and instance.fields.get("training") is TRUE and _drops(options):
        dropout.note(run, result)
    weight = next(iter(parameters.values()), None)
    if isinstance(weight, Tensor) and not run.casting and not run.alone:
        result.fields["exact"] = dtypes.exact(weight)
    kept = dict(parameters)
    if truth.truth(run, options.get("track_running_stats", TRUE)) is True:
        kept |= {name: instance.fields[name] for name in spec.saves_buffers if name in instance.fields}
    if spec.name == "torch.nn.LSTM" and not since(run.target, FUSED_LSTM):
        spec = replace(find_module("torch.nn.GRU") or spec, outputs=spec.outputs)  # what it keeps, a GRU does
    copies = run.copying and (spec.kind in _OF_PRODUCTS or dtypes.is_computed_in_half(spec.function.rpartition(".")[2]))
    _save_for_layer(result, spec, None if copies else first, {} if copies else kept)
    if spec.kind == "recurrent" and isinstance(first, Tensor) and "packed" in first.fields:
        result.fields["packed"] = True
    if spec.kind == "recurrent" and len(call.args) > 1 and not copies:
        _save_state(result, call.args[1], parameters)
    check_saved(run, result.node)
    return _structured(run, spec, result, options, first)


_OF_PRODUCTS = frozenset(("recurrent", "transformer"))
"""Layers of several matrix products."""


def _second_derivatives(
    spec: ModuleSpec, first: Value | None, parameters: dict[str, Value]
) -> dict[int, tuple[str, int]] | None:
    """What the gradients of a layer's input and of its parameters, in this order, are for a second derivative."""
    op = find_op(spec.function) if spec.function else None
    if op is None or first is None:
        return None
    words = second_derivatives(op, {op.params[0]: first, **parameters})
    names = [op.params[0], *parameters]
    return {place: (words[name], 0) for place, name in enumerate(names) if name in words}


def _renormalize(run: Run, options: dict[str, Value], parameters: dict[str, Value], call: Call) -> None:
    """An embedding with `max_norm` first scales the rows that it reads, in the weight itself."""
    limit, weight = options.get("max_norm"), parameters.get("weight")
    if isinstance(limit, Host) and limit.known and limit.kind != "none" and isinstance(weight, Tensor):
        bump(run, weight, "embedding_renorm_", call.node)


def _note_statistics(run: Run, instance: Instance, spec: ModuleSpec, parameters: dict[str, Value], call: Call) -> None:
    """Write down that running statistics move on though the layer's parameters are frozen."""
    if spec.kind == "norm" and spec.buffers and instance.fields.get("training") is TRUE:
        flags = {value.requires_grad for value in parameters.values() if isinstance(value, Tensor)}
        track = instance.data.get("options", {}).get("track_running_stats")
        if flags == {False} and (track is None or truth.truth(run, track) is True):
            run.event("frozen-statistics-moved", call.node, instance)


def _as_function(run: Run, spec: ModuleSpec, first: Value, options: dict[str, Value], call: Call) -> Tensor | None:
    """What the function gives that a layer without parameters is no more than; None if there is no such function."""
    op = find_op(spec.function) if spec.function else None
    if op is None or spec.outputs != "tensor" or spec.kind not in ("activation", "shape"):
        return None
    known = {name: value for name, value in options.items() if name in op.params and name != "inplace"}
    result = apply(run, spec.function, Call(call.node, [first], known))
    if not isinstance(result, Tensor):
        return None
    if spec.kind == "activation":
        result.dtype = result.dtype or "float"
    return result


def _passes(spec: ModuleSpec, instance: Instance, options: dict[str, Value]) -> bool:
    """Does a layer return its very input? Dropout does in eval mode, and in place with a probability of zero."""
    if spec.eval_returns_input and instance.fields.get("training") is FALSE:
        return True
    rate, inplace = options.get("p"), options.get("inplace")
    never = spec.kind == "dropout" and "Alpha" not in spec.name and isinstance(rate, Host) and rate.value == 0
    return spec.kind == "identity" or (never and isinstance(inplace, Host) and inplace.value is True)


def _drops(options: dict[str, Value]) -> bool:
    """Does a dropout with these options surely drop something in training?"""
    rate = options.get("p")
    return rate is None or (isinstance(rate, Host) and rate.known and rate.value != 0)


def _save_for_layer(result: Tensor, spec: ModuleSpec, first: Value | None, parameters: dict[str, Value]) -> None:
    if result.requires_grad is not True:
        return
    node = result.node
    saved: list[Saved] = []
    if spec.saves_output:
        saved.append(keep("result", result))
    with_grad = isinstance(first, Tensor) and first.requires_grad is True
    if spec.saves_input and isinstance(first, Tensor):
        saved.append(keep("input", first))
    if spec.kind == "recurrent":
        names = recurrent_saves(spec, parameters, with_grad)
    else:
        names = spec.saves_parameters | (spec.saves_parameters_with_input_grad if with_grad else frozenset())
    for name in sorted(names | spec.saves_buffers):
        parameter = parameters.get(name)
        if isinstance(parameter, Tensor) and (parameter.requires_grad or name in spec.saves_buffers):
            saved.append(keep(name, parameter))
    multiplies = _multiplies(spec, first, parameters)
    node.saved = tuple(saved) if multiplies else ()
    node.frees = multiplies and (bool(saved) or spec.kind not in ("shape", "padding", "identity"))


def _multiplies(spec: ModuleSpec, first: Value | None, parameters: dict[str, Value]) -> bool:
    """Is there certainly a gradient to compute for which a layer needs what it multiplied? One of which only the bias
    is trained keeps nothing for that."""
    op = find_op(spec.function) if spec.function and parameters else None
    if op is None or not op.frees_when or not op.frees_when.issubset((op.params[0], *parameters)):
        return True
    factors = [first if name == op.params[0] else parameters[name] for name in op.frees_when]
    return any(isinstance(factor, Tensor) and factor.requires_grad is True for factor in factors)


def _save_state(result: Tensor, state: Value, parameters: dict[str, Value]) -> None:
    """A recurrent layer keeps the state that it is given, and for its gradient the weights that it is multiplied by."""
    if result.requires_grad is not True:
        return
    states = [part for part in tensors_in(state) if isinstance(part, Tensor)]
    kept = [keep("state", part) for part in states]
    if any(part.requires_grad is True for part in states):
        known = {entry.tensor for entry in result.node.saved}
        for name, weight in parameters.items():
            if (
                name.startswith("weight_hh")
                and isinstance(weight, Tensor)
                and weight.requires_grad
                and weight not in known
            ):
                kept.append(keep(name, weight))
    result.node.saved += tuple(kept)


def _in_place_layer(run: Run, spec: ModuleSpec, first: Tensor, call: Call, options: dict[str, Value]) -> Value:
    """An activation or dropout with `inplace=True`."""
    op = find_op(spec.function) if spec.function else None
    if op is not None and "inplace" in op.params:
        known = {name: value for name, value in options.items() if name in op.params}
        return apply(run, spec.function, Call(call.node, [first], known | {"inplace": TRUE}))
    return derived_tensor(run, spec.name, [first], call.node)


def _structured(
    run: Run, spec: ModuleSpec, result: Tensor, options: dict[str, Value], first: Value | None = None
) -> Value:
    """What forward returns: a tensor, or the tuple of a recurrent layer or of attention."""
    other: Value
    if spec.outputs == "lstm":
        state, cell = (layer_shapes.of_state(options, first, is_cell) for is_cell in (False, True))
        other = Sequence(run.state, "tuple", (_sibling(run, result, state), _sibling(run, result, cell)))
    elif spec.outputs in ("rnn", "lstm_cell", "attention"):
        other = _sibling(run, result, layer_shapes.of_state(options, first, False) if spec.outputs == "rnn" else None)
    elif isinstance(options.get("return_indices"), Host) and options["return_indices"].value is True:  # type: ignore[attr-defined]
        other = run.leaf("indices", None, dtype="int")
    else:
        return result
    return Sequence(run.state, "tuple", (result, other))


def _sibling(run: Run, result: Tensor, shape: tuple[int | None, ...] | None = None) -> Tensor:
    node = Node(run.state, "part", result.node.at, (Edge(result.node, result.requires_grad),), path=run.path)
    tensor = Tensor(run.state, node, requires_grad=result.requires_grad, leaf=result.leaf, dtype="float", shape=shape)
    tensor.inference = result.inference
    return tensor


@method(MODULE, "forward")
def forward_by_name(run: Run, receiver: Instance, call: Call) -> Value:
    """`module.forward(x)`, and `super().forward(x)`."""
    path = receiver.path or next((p for p in library_bases(receiver.cls) if p != MODULE), "")  # type: ignore[arg-type]
    return forward(run, receiver, path, call) if path else run.unknown("call")


@method(MODULE, INIT_ALONE)
def init_of_module(run: Run, receiver: Instance, call: Call) -> Value:
    """`super(nn.Linear, self).__init__()`: the constructor of the layer is passed over, which makes its parameters."""
    receiver.open = True
    run.event("module-init", call.node, receiver)
    return NONE


@method(MODULE, "__init__")
def init_by_name(run: Run, receiver: Instance, call: Call) -> Value:
    """`super().__init__(...)` of a class that derives from a library module."""
    if isinstance(receiver.cls, Class):
        for path in library_bases(receiver.cls):
            if is_module_path(path):
                initialize(run, receiver, path, call)
                break
    run.event("module-init", call.node, receiver)
    return NONE
