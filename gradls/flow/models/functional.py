"""torch.func: functions of functions of tensors."""

from __future__ import annotations

import ast
from functools import partial
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge, Node
from gradls.flow.models.function_transforms import fault, look_at
from gradls.flow.models.modules import buffers_of, members, parameters_of
from gradls.flow.models.registry import function, method
from gradls.flow.operations import derived_tensor
from gradls.flow.reach import walk
from gradls.flow.values import Host, Instance, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from gradls.flow.run import Run
    from gradls.flow.state import Fields


@function("torch.func.stack_module_state")
def stack_module_state(run: Run, path: str, call: Call) -> Value:
    """The parameters and buffers of several modules of one class, stacked: new leaves."""
    models = call.get(0, "models")
    first = models.elements[0] if isinstance(models, Sequence) and models.elements else None
    if not isinstance(first, Instance):
        return run.unknown("call", "stack_module_state")
    dictionaries = []
    for found, more in (parameters_of(first), buffers_of(first)):
        entries: dict[object, Value] = {
            name: run.leaf("stack", call.node, requires_grad=tensor.requires_grad, dtype=tensor.dtype)
            for name, tensor in found
        }
        dictionaries.append(Mapping(run.state, entries, run.unknown("parameter") if more else None))
    return Sequence(run.state, "tuple", tuple(dictionaries))


@function("torch.func.vmap", "torch.vmap", "torch.func.grad")
def transform(run: Run, path: str, call: Call) -> Value:
    """A function made of another function."""
    instance = Instance(run.state, run.lib("torch.func.vmap" if path.endswith("vmap") else path), run.at(call.node))
    instance.data["call"] = call
    return instance


@method("torch.func.vmap", "__call__")
def call_vmap(run: Run, receiver: Instance, call: Call) -> Value:
    """Runs the function on slices of its arguments; what it gives is put together again."""
    from gradls.flow.calls import call_value

    made: Call = receiver.data["call"]
    look_at(run, "vmap", made, call)
    target, dims = made.get(0, "func"), made.get(1, "in_dims")
    if target is None:
        return run.unknown("call", "vmap")
    args: list[Value] = []
    for index, value in enumerate(call.args):
        dim = dims.items[index] if isinstance(dims, Sequence) and index < len(dims.items) else dims
        args.append(value if is_none(dim) else _each(run, value, _reshaped(run, call.node)))
    kwargs = {name: _each(run, value, _reshaped(run, call.node)) for name, value in call.kwargs.items()}
    known, run.states = run.states, {}
    try:
        result = call_value(run, target, Call(call.node, args, kwargs, call.unsure))
    finally:
        seen, run.states = run.states, known
        for node, state in seen.items():
            if state.requires_grad is not False:
                # The slices do not say so, though a gradient goes through them.
                state.requires_grad = state.leaf = None
            known.setdefault(node, state).blur(state)
    return _each(run, result, _reshaped(run, call.node))


def _reshaped(run: Run, at: ast.expr) -> Callable[[Tensor], Value]:
    """A tensor with a dimension more or less."""
    return lambda tensor: derived_tensor(run, "vmap", [tensor], at, dtype=tensor.dtype)


def _each(run: Run, value: Value, change: Callable[[Tensor], Value]) -> Value:
    """A value with every tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Sequence):
        items = tuple(_each(run, item, change) for item in value.items)
        rest = _each(run, value.rest, change) if value.rest is not None else None
        return Sequence(run.state, value.kind, items, rest, value.names)
    if isinstance(value, Mapping):
        entries = {key: _each(run, item, change) for key, item in value.entries.items()}
        return Mapping(run.state, entries, _each(run, value.rest, change) if value.rest is not None else None)
    return value


@method("torch.func.grad", "__call__")
def call_grad(run: Run, receiver: Instance, call: Call) -> Value:
    """The gradient of what the function gives for one of its arguments, which requires grad inside."""
    made: Call = receiver.data["call"]
    look_at(run, "grad", made, call)
    gradient = gradient_of_call(run, "grad", made, call)
    return gradient if gradient is not None else run.unknown("call", "grad")


def gradient_of_call(run: Run, kind: str, made: Call, call: Call) -> Value | None:
    """What a transform gives as gradient; None where it is not followed."""
    from gradls.flow.calls import call_value

    target, index = made.get(0, "func"), made.known(1, "argnums", default=0)
    if not isinstance(index, int) or not 0 <= index < len(call.args):
        return None
    if target is None or "has_aux" in made.kwargs or len(made.args) > 2 or run.recording is not True:
        return None
    given = call.args[index]
    inside = _each(run, given, partial(_argument, run, call.node))
    args = [*call.args[:index], inside, *call.args[index + 1 :]]
    result = call_value(run, target, Call(call.node, args, call.kwargs, call.unsure))
    if not call.unsure and _leaves_out(result, inside):
        fault(run, call.node, "unused", kind)
    outside = _outside(result, given, inside)
    return _each(run, given, partial(_gradient, run, call.node, outside))


def _argument(run: Run, at: ast.AST, tensor: Tensor) -> Value:
    leaf = run.leaf("argument", at, requires_grad=True, dtype=tensor.dtype, shape=tensor.shape)
    leaf.fields["leaf"] = None
    return leaf


def _gradient(run: Run, at: ast.AST, outside: list[Node] | None, tensor: Tensor) -> Value:
    """A gradient like `tensor`, that may have one itself with respect to what is `outside`."""
    found = run.leaf("grad", at, requires_grad=None if outside is None or outside else False, shape=tensor.shape)
    if found.requires_grad is None:
        found.fields["leaf"] = None
        found.node.edges = tuple(Edge(node, None) for node in outside or ())
    return found


def _outside(result: Value, given: Value, inside: Value) -> list[Node] | None:
    """The tensors outside of the function on which a gradient of its result may depend, with a gradient of their own:
    parameters that the function closes over, say. None if they are not known."""
    if not isinstance(result, Tensor) or isinstance(given, Host):
        return None
    own = set(tensors_in(inside))
    found: list[Node] = []
    for part in tensors_in(given):
        if not isinstance(part, Tensor):
            return None
        if part.requires_grad is not False:
            found.append(part.node)
    for node in walk(result.node, follow="all"):
        if node.kind == "opaque" or (
            node.leaf is not None and node.leaf not in own and node.leaf.requires_grad is not False
        ):
            found.append(node)
    return found


def _leaves_out(result: Value, inside: Value) -> bool:
    """Is the result of a function known, and does nothing of its argument go into it?"""
    own = tensors_in(inside)
    if not isinstance(result, Tensor) or not own or not all(isinstance(part, Tensor) for part in own):
        return False
    nodes = {part.node for part in own if isinstance(part, Tensor)}
    return all(node.kind != "opaque" and node not in nodes for node in walk(result.node, follow="all"))


@function("torch.func.functional_call", "torch.nn.utils.stateless.functional_call")
def functional_call(run: Run, path: str, call: Call) -> Value:
    """The module, computed with other tensors in the place of its parameters and buffers."""
    from gradls.flow.classes import call_instance

    module, tensors = call.get(0, "module"), call.get(1, "parameter_and_buffer_dicts", "parameters_and_buffers")
    args, kwargs = call.get(2, "args"), call.get(3, "kwargs")
    run.event("functional-call", call.node, module, tensors=tensors, recording=run.recording)
    replaced = _places(module, tensors)
    if not isinstance(module, Instance) or replaced is None or call.unsure:
        sources = [value for value in (tensors, args) if value is not None]
        own = tensors_in(tensors) if tensors is not None else []
        if own and all(isinstance(part, Tensor) for value in sources for part in tensors_in(value)):
            return derived_tensor(run, "functional_call", sources, call.node, dtype=None, saves=True)
        return run.unknown("call", "functional_call")
    before = [(fields, name, fields[name]) for fields, name, _ in replaced]
    for fields, name, tensor in replaced:
        run.state.set(fields, name, tensor)
    given = list(args.items) if isinstance(args, Sequence) and args.rest is None else [args] if args else []
    named = {str(key): value for key, value in kwargs.entries.items()} if isinstance(kwargs, Mapping) else {}
    try:
        return call_instance(run, module, Call(call.node, given, named))
    finally:
        for fields, name, value in before:
            run.state.set(fields, name, value)


def _places(module: Value | None, tensors: Value | None) -> list[tuple[Fields, str, Value]] | None:
    """Where in a module the tensors go: the fields, the name in them, and the tensor; None if that is not known."""
    found = []
    for mapping in tensors.items if isinstance(tensors, Sequence) and tensors.rest is None else [tensors]:
        if not isinstance(mapping, Mapping) or mapping.rest is not None:
            return None
        for key, value in mapping.entries.items():
            owner, last = module, str(key)
            while "." in last and isinstance(owner, Instance):
                first, _, last = last.partition(".")
                owner = dict(members(owner)).get(first)
            if not isinstance(owner, Instance) or not isinstance(owner.fields.get(last), Tensor):
                return None
            found.append((owner.fields, last, value))
    return found
