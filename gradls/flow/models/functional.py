"""torch.func: functions of functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.graph import walk
from gradls.flow.models.function_transforms import look_at
from gradls.flow.models.modules import buffers_of, parameters_of
from gradls.flow.models.registry import function, method
from gradls.flow.operations import derived_tensor, tensors_in
from gradls.flow.values import Host, Instance, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from gradls.flow.calls import Call
    from gradls.flow.run import Run


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
    from gradls.flow.calls import Call as NewCall
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
    result = call_value(run, target, NewCall(call.node, args, kwargs, call.unsure))
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
    from gradls.flow.calls import Call as NewCall
    from gradls.flow.calls import call_value

    made: Call = receiver.data["call"]
    look_at(run, "grad", made, call)
    target, index = made.get(0, "func"), made.known(1, "argnums", default=0)
    if not isinstance(index, int) or not 0 <= index < len(call.args):
        return run.unknown("call", "grad")
    if target is None or "has_aux" in made.kwargs or len(made.args) > 2 or run.recording is not True:
        return run.unknown("call", "grad")
    given = call.args[index]

    def inner(tensor: Tensor) -> Value:
        leaf = run.leaf("argument", call.node, requires_grad=True, dtype=tensor.dtype, shape=tensor.shape)
        leaf.fields["leaf"] = None
        return leaf

    inside = _each(run, given, inner)
    args = [*call.args[:index], inside, *call.args[index + 1 :]]
    result = call_value(run, target, NewCall(call.node, args, call.kwargs, call.unsure))
    flag = _requires_grad_outside(result, given, inside)

    def gradient(tensor: Tensor) -> Value:
        found = run.leaf("grad", call.node, requires_grad=flag, shape=tensor.shape)
        if flag is None:
            found.fields["leaf"] = None
        return found

    return _each(run, given, gradient)


def _requires_grad_outside(result: Value, given: Value, inside: Value) -> bool | None:
    """Does a gradient depend on tensors that require grad outside of the function? False or unknown."""
    if not isinstance(result, Tensor) or isinstance(given, Host):
        return None
    own = set(tensors_in(inside))
    if any(not isinstance(part, Tensor) or part.requires_grad is not False for part in tensors_in(given)):
        return None
    for node in walk(result.node, follow="all"):
        if node.kind == "opaque":
            return None
        if node.leaf is not None and node.leaf not in own and node.leaf.requires_grad is not False:
            return None
    return False
