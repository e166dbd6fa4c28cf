"""What trainers of libraries do with the methods that a program gives them: rounds of training."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gradls.flow.arguments import Call
from gradls.flow.backward import check_result, run_backward
from gradls.flow.calls import call_function
from gradls.flow.hierarchy import find_in_class, is_lightning, linearize
from gradls.flow.loops import repeat
from gradls.flow.models.loaders import data
from gradls.flow.models.optimizers import OPTIMIZER, SCHEDULER, scheduler_step, step, zero_grad
from gradls.flow.models.registry import family_of
from gradls.flow.values import (
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Mapping,
    Sequence,
    Unknown,
    Value,
    is_none,
)
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

CONFIGURED = ("configured",)
"""The field of a LightningModule that holds what its `configure_optimizers` has made: (optimizers, schedulers)."""
_OWN_WAYS = ("backward", "optimizer_step", "optimizer_zero_grad", "training_step_end")
"""Methods with which a LightningModule does itself what its trainer would do."""

_TRAINING = frozenset(("backward", "grad-call", "functional", "step", "unknown-step", "scaler-step", "unknown-call"))
"""What happens where a method trains something, or unknown code that may do so."""


class Configured(NamedTuple):
    """What `configure_optimizers` returned."""

    optimizers: list[Instance]
    schedulers: list[Instance]


def of_method(cls: Class, name: str) -> str:
    """The trainer that calls this method of a class in each round, and calls backward on what it returns: "Lightning",
    "Transformers", or "" if there is none."""
    if name == "training_step" and is_lightning(cls):
        return "Lightning"
    if name == "compute_loss" and any(_is_trainer(base) for base in linearize(cls)):
        return "Transformers"
    return ""


def _is_trainer(base: Value) -> bool:
    """Is it a class that Transformers or TRL calls a trainer? Nothing else is known of these libraries."""
    if not isinstance(base, Unknown) or base.question is None:
        return False
    module, name = base.question.module, base.question.name or base.name
    return module.partition(".")[0] in ("transformers", "trl") and name.endswith("Trainer")


def _leaves_backward(cls: Class, receiver: Value) -> bool:
    """Does a LightningModule leave backward and the steps to its trainer? `receiver` is an object of it."""
    if any(isinstance(find_in_class(cls, name)[0], Function) for name in _OWN_WAYS):
        return False
    if any(base.source.once(_says_manual, base.node) for base in linearize(cls) if isinstance(base, Class)):
        return False  # In early releases it was the trainer that was told to leave it to the module.
    return _is_automatic(cls, receiver) is True


def _is_automatic(cls: Class, receiver: Value) -> bool | None:
    """What `automatic_optimization` says, if it is known."""
    if isinstance(receiver, Instance) and "automatic_optimization" in receiver.fields:
        flag: Value | None = receiver.fields["automatic_optimization"]
    else:
        flag = find_in_class(cls, "automatic_optimization")[0]
    if flag is None:
        return True
    return bool(flag.value) if isinstance(flag, Host) and flag.known else None


def _says_manual(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "manual_backward" for part in walk(node))


def train(run: Run, cls: Class, method: Function, receiver: Value, given: Callable[[], Call]) -> None:
    """Run a method as its trainer does: two rounds, with what it does in each after the call. `given` makes the
    arguments of a round, of which nothing is known.

    What the trainer does is written down at the `return` statement that gave it the loss.
    """
    trainer = of_method(cls, method.name)
    differentiates = trainer != "Lightning" or _leaves_backward(cls, receiver)
    made, result = _configure(run, cls, receiver, differentiates) if trainer == "Lightning" else (None, None)
    # What is trained in turn, in a way of older releases, is not followed.
    applied = made if made is not None and len(made.optimizers) == 1 else None
    for name in _BEFORE_ROUNDS if made is not None else ():
        _call_hook(run, receiver, name)
    start = len(run.events)
    repeat(run, method.node, partial(_round, run, method, receiver, given, differentiates, applied))
    if result is not None and not is_none(result):
        for event in run.events[start:]:
            if event.kind == "no-loss":
                event.info["optimizes"] = True
    is_manual = made is not None and bool(made.optimizers) and _is_automatic(cls, receiver) is False
    if trainer == "Lightning" and _is_automatic(cls, receiver) is True:
        _check_own_step(run, cls)
    if is_manual and not any(event.kind in _TRAINING for event in run.events[start:]):
        run.event("no-backward", method.node)


def _check_own_step(run: Run, cls: Class) -> None:
    """Write down an `optimizer_step` that calls `optimizer.step()` without the closure that it is given: that would run
    `training_step` and backward. In early releases, where another argument came last, the trainer did so itself."""
    method, _ = find_in_class(cls, "optimizer_step")
    if not isinstance(method, Function) or not isinstance(method.node, ast.FunctionDef) or method.decorated:
        return
    given = method.node.args
    names = [argument.arg for argument in given.args]
    if len(names) != 5 or "closure" not in names[4] or given.vararg or given.kwarg or given.kwonlyargs:
        return
    parts = list(walk(method.node))
    if any(isinstance(part, ast.Name) and part.id in (names[4], "super", "locals") for part in parts):
        return
    for part in parts:
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "step":
            owner = part.func.value
            if isinstance(owner, ast.Name) and owner.id == names[3] and not part.args and not part.keywords:
                run.event("closure-left-out", part, closure=given.args[4])


def _round(
    run: Run, method: Function, receiver: Value, given: Callable[[], Call], ends: bool, made: Configured | None
) -> bool:
    start = len(run.events)
    result = call_function(run, method, _with_data(run, method, given()), receiver)
    check_result(run, result, method.node)
    at = _last_return(run, method, start)
    loss = _loss_of(result)
    if ends and at is not None and loss is not None and not is_none(loss):
        _apply(run, loss, at, made, receiver)
    elif ends and is_none(result):
        run.event("no-loss", method.node)
    elif ends and at is not None and method.name == "training_step" and _has_no_loss(result):
        run.event("no-loss-key", at, result)
    return True


def _has_no_loss(result: Value) -> bool:
    """Is it a dictionary, all of which is known, without the entry that the trainer asks for?"""
    return isinstance(result, Mapping) and result.rest is None and bool(result.entries) and "loss" not in result.entries


def _with_data(run: Run, method: Function, call: Call) -> Call:
    """The arguments of a round: what comes from the loader carries no gradient."""
    batch = 0 if method.name == "training_step" else 1
    if batch < len(call.args) and type(call.args[batch]) is Unknown:
        call.args[batch] = data(run, "batch")
    return call


def _loss_of(result: Value) -> Value | None:
    """The loss in what such a method returned: it may be the entry `loss` of a dictionary, or the first of a tuple."""
    if isinstance(result, Mapping):
        return result.entries.get("loss")
    if isinstance(result, Sequence):
        return result.items[0] if result.kind == "tuple" and result.items else None
    if isinstance(result, Choice):
        # What is returned besides the loss depends on a flag.
        options = {id(loss): loss for loss in map(_loss_of, result.options) if loss is not None}
        return next(iter(options.values())) if len(options) == 1 else result
    return result


def _last_return(run: Run, method: Function, start: int) -> ast.expr | None:
    """Where a call that began with the event number `start` returned something."""
    for event in reversed(run.events[start:]):
        if event.kind == "return" and event.function is method and event.at.source is run.frame.file.source:
            return event.at.node  # type: ignore[return-value]
    return None


_BEFORE_ROUNDS = ("on_fit_start", "on_train_start")
"""Methods of a LightningModule that its trainer calls once it has the optimizers: what they make comes too late."""
_BEHIND_BACKWARD = ("on_after_backward", "on_before_optimizer_step", "configure_gradient_clipping")
"""Methods of a LightningModule that its trainer calls between backward and step, with the optimizer if they want it."""


def _apply(run: Run, loss: Value, at: ast.expr, made: Configured | None, receiver: Value) -> None:
    """Clear the gradients, call backward, and make a step, with what is written down at `at`."""
    call = Call(at, [])
    for optimizer in made.optimizers if made is not None else ():
        zero_grad(run, optimizer, call)
    if isinstance(loss, Host):
        run.event("backward-of-no-tensor", at, loss)
        return
    run_backward(run, [loss], call, gradient=None, method=True)
    if made is None:
        return
    for optimizer in made.optimizers:
        for name in _BEHIND_BACKWARD:
            _call_hook(run, receiver, name, optimizer)
        step(run, optimizer, call)
    for scheduler in made.schedulers:
        scheduler_step(run, scheduler, call)


def _call_hook(run: Run, receiver: Value, name: str, optimizer: Instance | None = None) -> None:
    """Call a method that a module may have for its trainer."""
    if not isinstance(receiver, Instance) or not isinstance(receiver.cls, Class):
        return
    method, _ = find_in_class(receiver.cls, name)
    if not isinstance(method, Function) or isinstance(method.node, ast.Lambda):
        return
    wanted = method.node.args.args[1:2]
    given: list[Value] = [optimizer] if wanted and optimizer is not None else []
    rest: dict[str, Value] = {arg.arg: run.unknown("argument", arg.arg) for arg in method.node.args.args[2:]}
    call_function(run, method, Call(method.node, given, rest), receiver)  # type: ignore[arg-type]


def _configure(run: Run, cls: Class, receiver: Value, differentiates: bool) -> tuple[Configured | None, Value | None]:
    """Have a LightningModule make its optimizers: what these are, None if it is not known, and what it returns."""
    configure, _ = find_in_class(cls, "configure_optimizers")
    if not isinstance(configure, Function) or not isinstance(receiver, Instance):
        return None, None
    start = len(run.events)
    result = call_function(run, configure, Call(configure.node, []), receiver)  # type: ignore[arg-type]
    if is_none(result) and differentiates:
        optimizers = [event for event in run.events[start:] if event.kind == "optimizer-made"]
        run.event("no-optimizer", configure.node, function=configure, made=optimizers)
    made = Configured([], [])
    if not _gather(result, made):
        return None, result
    run.state.set(receiver.fields, CONFIGURED, made)
    return made, result


def _gather(result: Value | None, made: Configured) -> bool:
    """Gather the optimizers and schedulers in what `configure_optimizers` may return; whether all of it is known.

    The forms are those of
    https://lightning.ai/docs/pytorch/stable/api/lightning.pytorch.core.LightningModule.html#configure_optimizers
    """
    if isinstance(result, Instance):
        return _take(result, made)
    if isinstance(result, Mapping):
        scheduler = result.entries.get("lr_scheduler")
        return _gather(result.entries.get("optimizer"), made) and (scheduler is None or _schedule(scheduler, made))
    if not isinstance(result, Sequence) or result.rest is not None:
        return False
    lists = [item for item in result.items if isinstance(item, Sequence)]
    if len(lists) == len(result.items) == 2:
        return _gather(lists[0], made) and all(_schedule(one, made) for one in lists[1].elements)
    return not lists and all(_gather(item, made) for item in result.items)


def _take(found: Instance, made: Configured) -> bool:
    if family_of(found.path) != OPTIMIZER:
        return False
    made.optimizers.append(found)
    return True


def _schedule(found: Value, made: Configured) -> bool:
    """A scheduler, or a dictionary with one. What is none that is known concerns no gradient."""
    if isinstance(found, Mapping):
        found = found.entries.get("scheduler", found)
    if isinstance(found, Instance) and family_of(found.path) == SCHEDULER:
        made.schedulers.append(found)
    return True
