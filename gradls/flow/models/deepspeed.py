"""DeepSpeed's engine: a module that calls the one that it was given, with a backward and a step of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.backward import run_backward
from gradls.flow.hierarchy import DEEPSPEED_ENGINE
from gradls.flow.models import optimizers
from gradls.flow.models.modules import clear_grads, parameters_of
from gradls.flow.models.registry import function, method
from gradls.flow.values import Instance, Sequence, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run

_HELD = ("optimizer",)
"""The field of an engine with the optimizer that it steps."""


@function("deepspeed.initialize")
def initialize(run: Run, path: str, call: Call) -> Value:
    """(engine, optimizer, loader, scheduler): https://deepspeed.readthedocs.io/en/latest/initialize.html

    An optimizer that it is not given it makes as its configuration says, of `model_parameters`.
    """
    model = call.get(1, "model")
    engine = Instance(run.state, run.lib(DEEPSPEED_ENGINE), run.at(call.node))
    engine.fields["module"] = model if model is not None else run.unknown("argument", "model")
    optimizer = call.get(2, "optimizer")
    if optimizer is None or is_none(optimizer):
        optimizer = Instance(run.state, run.lib("torch.optim.Adam"), run.at(call.node))
        given = call.get(3, "model_parameters")
        held, more = optimizers.held(given) if given is not None else ([], True)
        optimizer.fields.update({optimizers.HELD: tuple(held), optimizers.MORE: more})
    engine.fields[_HELD] = optimizer
    others = (run.unknown("call", name) for name in ("loader", "scheduler"))
    return Sequence(run.state, "tuple", (engine, optimizer, *others))


@method(DEEPSPEED_ENGINE, "__call__", "forward")
def call_engine(run: Run, receiver: Instance, call: Call) -> Value:
    """Calls the module, in the precision that the configuration says."""
    from gradls.flow.calls import call_value

    return call_value(run, receiver.fields["module"], call)


@method(DEEPSPEED_ENGINE, "backward")
def backward(run: Run, receiver: Instance, call: Call) -> Value:
    """`loss.backward()` of the loss, which it returns."""
    loss = call.get(0, "loss") or run.unknown("argument", "loss")
    given = {key: value for key, value in call.kwargs.items() if key == "retain_graph"}
    run_backward(run, [loss], Call(call.node, [], given), gradient=None, method=False)
    return loss


@method(DEEPSPEED_ENGINE, "step")
def step(run: Run, receiver: Instance, call: Call) -> Value:
    """A step, after which the gradients are cleared; where gradients are accumulated, in every so many calls."""
    optimizer = receiver.fields[_HELD]
    result: Value = run.unknown("call", "step")
    if isinstance(optimizer, Instance) and optimizers.HELD in optimizer.fields:
        result = optimizers.step(run, optimizer, Call(call.node, []))
        optimizers.zero_grad(run, optimizer, Call(call.node, []))
    else:
        clear_grads(run, [tensor for _, tensor in parameters_of(receiver)[0]], Call(call.node, []), True)
    return result
