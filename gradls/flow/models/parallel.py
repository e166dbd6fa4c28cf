"""DataParallel and DistributedDataParallel: modules that call the module which they wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import modules_of, parameters_of
from gradls.flow.models.registry import function, method
from gradls.flow.values import FALSE, NONE, TRUE, Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

DISTRIBUTED = "torch.nn.parallel.DistributedDataParallel"
_NO_SYNC = f"{DISTRIBUTED}.no_sync"
_SYNCHRONIZED = "require_backward_grad_sync"
"""The attribute that says, while the module is called, whether gradients are to be sent."""


@function("torch.nn.DataParallel", "torch.nn.parallel.DataParallel")
def wrapper(run: Run, path: str, call: Call) -> Value:
    """A module that holds another one as `module`."""
    inner = call.get(0, "module")
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if inner is not None:
        instance.fields["module"] = inner
    return instance


@function(DISTRIBUTED)
def distributed(run: Run, path: str, call: Call) -> Value:
    """The same, but it waits for the gradients of all parameters that require grad when it is made."""
    instance = wrapper(run, path, call)
    assert isinstance(instance, Instance)
    inner = instance.fields.get("module")
    parameters, more = parameters_of(inner) if inner is not None else ([], True)
    flags = {tensor.requires_grad for _, tensor in parameters}
    known = not more and not call.unsure and inner is not None and is_module(inner) is True and None not in flags
    options = (call.kwargs.get(name, FALSE) for name in ("find_unused_parameters", "static_graph"))
    strict = len(call.args) < 2 and all(truth.truth(run, option) is False for option in options)
    awaited = tuple(tensor for _, tensor in parameters if tensor.requires_grad is True)
    if known and strict:
        instance.data["awaited"] = awaited
    run.event(
        "distributed-made",
        call.node,
        instance,
        idle=known and not awaited,
        parameters=frozenset(tensor for _, tensor in parameters),
        modules=() if inner is None else modules_of(inner)[0],
    )
    return instance


@method("torch.nn.DataParallel", "__call__", "forward")
@method("torch.nn.parallel.DataParallel", "__call__", "forward")
@method(DISTRIBUTED, "__call__", "forward")
def call_wrapped(run: Run, receiver: Instance, call: Call) -> Value:
    """Run the wrapped module. The event names those of the awaited parameters that only code which is seen has."""
    from gradls.flow.calls import call_value

    inner = receiver.fields.get("module")
    synchronized = truth.truth(run, receiver.fields.get(_SYNCHRONIZED, TRUE))
    run.event("distributed-called", call.node, receiver, synchronized=synchronized)
    if "awaited" in receiver.data:
        handed = receiver.fields.get("*escaped") or _SYNCHRONIZED in receiver.fields
        awaited: tuple[Tensor, ...] = receiver.data["awaited"]
        run.event(
            "distributed-forward",
            call.node,
            receiver,
            awaited=awaited,
            own=frozenset() if handed else frozenset(tensor for tensor in awaited if _is_own(tensor)),
            grad=run.mode["grad"],
        )
    return call_value(run, inner, call) if inner is not None else run.unknown("call")


@method(DISTRIBUTED, "no_sync")
def no_sync(run: Run, receiver: Instance, call: Call) -> Value:
    """A block in which the module is called without that its gradients are to be sent."""
    manager = Instance(run.state, run.lib(_NO_SYNC), run.at(call.node))
    manager.data["of"] = receiver
    return manager


@method(_NO_SYNC, "__enter__")
def enter_no_sync(run: Run, receiver: Instance, call: Call) -> None:
    model: Instance = receiver.data["of"]
    receiver.data["before"] = model.fields.get(_SYNCHRONIZED)
    run.state.set(model.fields, _SYNCHRONIZED, FALSE)


@method(_NO_SYNC, "__exit__")
def leave_no_sync(run: Run, receiver: Instance, call: Call) -> None:
    model, before = receiver.data["of"], receiver.data["before"]
    if before is None:
        run.state.drop(model.fields, _SYNCHRONIZED)
    else:
        run.state.set(model.fields, _SYNCHRONIZED, before)


@method(DISTRIBUTED, "register_comm_hook")
def register_comm_hook(run: Run, receiver: Instance, call: Call) -> Value:
    """Says how gradients are sent; what they are in the end is the same."""
    return NONE


@function("torch.nn.parallel.data_parallel")
def data_parallel(run: Run, path: str, call: Call) -> Value:
    """`data_parallel(module, inputs)` calls the module."""
    from gradls.flow.calls import call_value

    module, inputs = call.get(0, "module"), call.get(1, "inputs")
    if module is None or inputs is None:
        return run.unknown("call", "data_parallel")
    args = list(inputs.items) if isinstance(inputs, Sequence) and inputs.kind == "tuple" else [inputs]
    return call_value(run, module, Call(call.node, args))


def _is_own(tensor: Tensor) -> bool:
    return not tensor.fields.get("*escaped") and (tensor.owner is None or not tensor.owner.fields.get("*escaped"))
