"""torch.autograd: grad, backward, custom Functions, functional, checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.classes import FUNCTION, find_in_class
from gradls.flow.models.registry import function, method
from gradls.flow.operations import cut_tensor, derived_tensor, tensors_in
from gradls.flow.values import NONE, Class, Function, Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.calls import Call
    from gradls.flow.run import Run


@function("torch.autograd.backward")
def backward(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.backward import run_backward

    roots = call.get(0, "tensors")
    run_backward(
        run, tensors_in(roots) if roots is not None else [], call, gradient=call.get(1, "grad_tensors"), method=False
    )
    return NONE


@function("torch.autograd.grad")
def grad(run: Run, path: str, call: Call) -> Value:
    """Gradients as new tensors: with history only if `create_graph=True`."""
    from gradls.flow.backward import run_grad

    return run_grad(run, call)


@method(FUNCTION, "apply")
def apply(run: Run, receiver: Value, call: Call) -> Value:
    """A custom Function: its forward is not recorded; gradient goes to every tensor argument."""
    if not isinstance(receiver, Class):
        return run.unknown("call", "apply")
    forward, _ = find_in_class(receiver, "forward")
    run.event("function-apply", call.node, receiver, arguments=call.values)
    shape_of_result: Value | None = None
    if isinstance(forward, Function):
        from gradls.flow.calls import Call as NewCall
        from gradls.flow.calls import call_function

        setup, _ = find_in_class(receiver, "setup_context")
        context = Instance(run.state, run.lib("torch.autograd.function.FunctionCtx"), run.at(call.node))
        context.open = True
        args = call.args if isinstance(setup, Function) else [context, *call.args]
        run.isolated += 1
        kind, forward.kind = forward.kind, "static"
        try:
            shape_of_result = call_function(run, forward, NewCall(call.node, args, call.kwargs, call.unsure))
        finally:
            run.isolated -= 1
            forward.kind = kind
    return _outputs(run, receiver, shape_of_result, call)


def _outputs(run: Run, cls: Class, result: Value | None, call: Call) -> Value:
    if isinstance(result, Sequence) and result.kind == "tuple" and result.rest is None:
        return Sequence(run.state, "tuple", tuple(_outputs(run, cls, item, call) for item in result.items))
    if result is not None and not isinstance(result, Tensor) and not tensors_in(result):
        return result
    tensor = derived_tensor(run, cls.name, call.values, call.node, dtype=None, saves=True)
    tensor.node.frees = False
    if isinstance(result, Tensor):
        tensor.shape, tensor.dtype = result.shape, result.dtype
        tensor.node.scalar = result.node.scalar
    return tensor


@method(
    "torch.autograd.function.FunctionCtx",
    "save_for_backward",
    "mark_dirty",
    "mark_non_differentiable",
    "set_materialize_grads",
)
def context_method(run: Run, receiver: Instance, call: Call) -> Value:
    run.event(
        "context-call",
        call.node,
        receiver,
        name=getattr(getattr(call.node, "func", None), "attr", ""),
        arguments=call.values,
    )
    return NONE


@function("torch.utils.checkpoint.checkpoint")
def checkpoint(run: Run, path: str, call: Call) -> Value:
    """Computes its first argument on the others; gradients as without it, unless reentrant."""
    from gradls.flow.calls import Call as NewCall
    from gradls.flow.calls import call_value

    given = call.kwargs.get("use_reentrant")
    reentrant = None if given is None else truth.truth(run, given)
    run.event(
        "checkpoint",
        call.node,
        call.get(0, "function"),
        reentrant=reentrant,
        given=given,
        arguments=call.args[1:],
        call=call,
    )
    if not call.args:
        return run.unknown("call", "checkpoint")
    options = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")
    kwargs = {name: value for name, value in call.kwargs.items() if name not in options}
    result = call_value(run, call.args[0], NewCall(call.node, call.args[1:], kwargs, call.unsure))
    if reentrant is True and isinstance(result, Tensor) and not call.unsure and _plain(call.args[1:]):
        # The reentrant variant records its call like a custom Function: through the inputs that require grad only.
        return cut_tensor(run, "checkpoint", "checkpoint", result, call.node, shares=True)
    return result


def _plain(values: list[Value]) -> bool:
    """Is it known of all tensors in `values` that none requires grad?"""
    parts = [part for value in values for part in tensors_in(value)]
    return all(isinstance(part, Tensor) and part.requires_grad is False for part in parts)


@function(
    "torch.autograd.functional.jacobian",
    "torch.autograd.functional.hessian",
    "torch.autograd.functional.jvp",
    "torch.autograd.functional.vjp",
)
def functional(run: Run, path: str, call: Call) -> Value:
    """Has history only with `create_graph=True`."""
    create = truth.truth(run, call.kwargs["create_graph"]) if "create_graph" in call.kwargs else False
    run.event("functional", call.node, call.get(0, "func"), path=path, create_graph=create)
    if create is False:
        from gradls.flow.operations import cut_node

        edges = derived_tensor(run, path, call.args[1:], call.node).node.edges
        node = cut_node(run, "grad", path.rpartition(".")[2], edges, run.at(call.node))
        return Tensor(run.state, node, requires_grad=False, leaf=True, dtype="float")
    return run.unknown("call", path)


@function("torch.func.functional_call", "torch.nn.utils.stateless.functional_call")
def functional_call(run: Run, path: str, call: Call) -> Value:
    """The module, computed with other tensors in the place of its parameters."""
    module, tensors = call.get(0, "module"), call.get(1, "parameter_and_buffer_dicts")
    args = call.get(2, "args")
    sources = [value for value in (tensors, args) if value is not None]
    run.event("functional-call", call.node, module, tensors=tensors)
    if all(isinstance(part, Tensor) for value in sources for part in tensors_in(value)) and sources:
        return derived_tensor(run, "functional_call", sources, call.node, saves=True)
    return run.unknown("call", "functional_call")


@function("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.jit.script_if_tracing")
def compiled(run: Run, path: str, call: Call) -> Value:
    return call.args[0] if call.args else run.unknown("call", path)
