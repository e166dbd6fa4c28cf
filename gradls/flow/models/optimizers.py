"""Optimizers, schedulers and gradient scalers."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.optimizers import find_optimizer
from gradls.flow import dtypes, nothing
from gradls.flow.arguments import Call
from gradls.flow.elements import is_doubted
from gradls.flow.graph import At
from gradls.flow.hierarchy import find_in_class, library_bases
from gradls.flow.iterators import consume, exhausted
from gradls.flow.loops import forget_counters
from gradls.flow.models.attributes import lacks_grad
from gradls.flow.models.modules import FURTHER, clear_grads, contents, keeps
from gradls.flow.models.registry import attribute, function, method
from gradls.flow.paths import Evaluations, Round
from gradls.flow.unknown_modules import is_frozen, modules_behind
from gradls.flow.values import (
    HELD,
    MORE,
    NONE,
    OF_OPTIMIZER,
    Bound,
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
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run

OPTIMIZER = "torch.optim.Optimizer"
SCHEDULER = "torch.optim.lr_scheduler.LRScheduler"


def create_optimizer(run: Run, path: str, call: Call) -> Value:
    """Make an optimizer over the tensors in its first argument."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    _hold(run, instance, path, call)
    return instance


@method(OPTIMIZER, "__init__")
def initialize(run: Run, receiver: Instance, call: Call) -> Value:
    """`super().__init__(params)` in an optimizer of the program. One that does not step in a way of its own is what
    PyTorch makes of its parameters."""
    from gradls.flow.escapes import escape

    cls = receiver.cls
    paths = [path for path in library_bases(cls) if find_optimizer(path)] if isinstance(cls, Class) else []
    if paths and isinstance(cls, Class) and not any(find_in_class(cls, name)[0] for name in _OWN_WAYS):
        _hold(run, receiver, paths[0], call)
    else:
        run.state.set(receiver.fields, ("kept",), [*receiver.fields.get(("kept",), ()), *call.values])
        for value in (receiver, *call.values):
            escape(run, value)
    return NONE


_OWN_WAYS = ("step", "zero_grad", "add_param_group", "param_groups", "__getattr__")
DEFAULTS_OF = "*defaults of"


def _hold(run: Run, instance: Instance, path: str, call: Call) -> None:
    """Have an optimizer hold the tensors in the first argument of its constructor."""
    given = call.get(0, "params")
    tensors, more = held(given) if given is not None else ([], True)
    # It has just been made: rules ask for this when the run is over.
    instance.fields[HELD] = tuple(tensors)
    instance.fields[MORE] = more
    spec = find_optimizer(path)
    most = call.known(2, "max_iter", default=spec.defaults["max_iter"]) if spec and spec.closure_calls == "many" else 1
    instance.data["searches"] = type(most) is int and most > 1
    perhaps, strange = others_of(given) if given is not None else (frozenset(), True)
    instance.data["modules"] = modules_behind(given)
    used_up = exhausted(given)
    run.event(
        "optimizer-made",
        call.node,
        instance,
        given=given,
        groups=groups_of(run, given) if given is not None else [],
        parameters=tensors,
        open=more,
        perhaps=perhaps,
        strange=strange,
        exhausted=used_up,
        call=call,
        still=_is_still(instance, tuple(tensors)),
        writes=[(*tensor.writes, *tensor.hidden) for tensor in tensors],
    )
    consume(run, given, call.node)


def parameters_of(optimizer: Instance) -> tuple[Tensor, ...]:
    """The tensors that an optimizer is known to hold."""
    found: tuple[Tensor, ...] = optimizer.fields.get(HELD, ())
    return found


def groups_of(run: Run, value: Value) -> list[tuple[Value, At | None]]:
    """What each parameter group is given, and where an iterator for it had been used up before. Nothing is known of a
    group that different branches filled."""
    groups = [value]
    if isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value.items):
        given = [item.entries.get("params") for item in value.items if isinstance(item, Mapping)]
        groups = [group for group in given if group is not None]
    return [(run.unknown("group") if _by_branch(group) else group, exhausted(group)) for group in groups]


def _by_branch(group: Value) -> bool:
    return isinstance(group, Sequence) and is_doubted(group)


def held(value: Value) -> tuple[list[Tensor], bool]:
    """The tensors that an optimizer is given, in any of the forms that it takes, and whether there may be others."""
    if isinstance(value, Tensor):
        if value.node.kind == "phi":
            # One of several, by branch: any of them may be meant.
            return [edge.node.leaf for edge in value.node.edges if edge.node.leaf is not None], True
        return [_unmoved(value)], False
    if isinstance(value, Mapping):
        group = value.entries.get("params")
        return held(group) if group is not None else ([], True)
    if exhausted(value) is not None:
        return [], False
    if isinstance(value, Sequence):
        found: list[Tensor] = []
        more = False
        for item in value.elements:
            if isinstance(item, Sequence) and item.kind == "tuple" and len(item.items) == 2:
                item = item.items[1]
            inner, inner_more = held(item)
            found += inner
            more = more or inner_more
        return list(dict.fromkeys(found)), more
    if isinstance(value, Instance) and value.path == "torch.nn.ParameterList":
        return [part for _, part in contents(value) if isinstance(part, Tensor)], any(
            n == "*" for n, _ in contents(value)
        )
    if isinstance(value, Choice):
        return [tensor for option in value.options for tensor in held(option)[0]], True
    return [], not isinstance(value, (Host, Instance))


def _unmoved(tensor: Tensor) -> Tensor:
    """The leaf that a conversion gives itself, where nothing is to convert: of anything else the optimizer raises."""
    while tensor.leaf is None and tensor.requires_grad is True and isinstance(tensor.data, Tensor):
        tensor = tensor.data
    return tensor


def others_of(value: Value) -> tuple[frozenset[Tensor], bool]:
    """Of what an optimizer is given: the tensors that it may or may not be given, and whether it may be given any
    others that are known. Modules that hold something unknown hold nothing else that is known."""
    if isinstance(value, Unknown):
        return frozenset(one for one in value.among if isinstance(one, Tensor)), value.origin != FURTHER
    if isinstance(value, Mapping):
        group = value.entries.get("params")
        return others_of(group) if group is not None else (frozenset(), True)
    if isinstance(value, Sequence):
        found: frozenset[Tensor] = frozenset()
        strange = False
        for item in value.elements:
            if isinstance(item, Sequence) and item.kind == "tuple" and len(item.items) == 2:
                item = item.items[1]
            inner, inner_strange = others_of(item)
            found, strange = found | inner, strange or inner_strange
        return found, strange
    return frozenset(), held(value)[1]


@method(OPTIMIZER, "step")
def step(run: Run, receiver: Instance, call: Call) -> Value:
    """Writes to every parameter, under no_grad; with a closure, runs it first, and as often as the optimizer does."""
    closure = call.get(0, "closure")
    result: Value = NONE
    start = len(run.events)
    if closure is not None and not is_none(closure):
        result = _evaluate(run, receiver, closure, call)
    parameters = parameters_of(receiver)
    trained = frozenset(t for t in parameters if t.requires_grad is True and not t.fields.get("*escaped"))
    run.event(
        "step",
        call.node,
        receiver,
        closure=closure,
        quiet=all(event.kind not in _MAY_DIFFERENTIATE for event in run.events[start:]),
        trained=trained,
        parameters=parameters,
        filled=frozenset(t for t in parameters if not is_none(t.fields.get("grad", NONE))),
        empty=frozenset(t for t in parameters if lacks_grad(run, t, t.fields.get("grad"))),
        frozen=all(t.requires_grad is False and not t.fields.get("*escaped") for t in parameters),
        still=_is_still(receiver, parameters),
        escaped=bool(receiver.fields.get("*escaped")),
        halves=_halves(receiver),
    )
    _move(run, receiver, call)
    return result


def _is_still(optimizer: Instance, parameters: tuple[Tensor, ...]) -> bool:
    """Is all that an optimizer was given frozen, as far as the program says, the parameters of unknown modules too?"""
    modules = optimizer.data.get("modules")
    if not modules or any(t.requires_grad is not False for t in parameters):
        return False
    return all(is_frozen(module) for module in modules)


_MAY_DIFFERENTIATE = frozenset(("backward", "grad-call", "functional", "unknown-call", "unknown-step", "scale"))
"""What happens where a closure computes gradients, or unknown code that may do so."""


def _evaluate(run: Run, receiver: Instance, closure: Value, call: Call) -> Value:
    """Run the closure, which some optimizers do more than once, having moved the parameters in between."""
    from gradls.flow.calls import call_value

    if not receiver.data.get("searches"):
        return call_value(run, closure, Call(call.node, []))
    path, mark, rounds = run.path, run.state.mark(), Evaluations()
    run.path = (path, Round(rounds), True)
    call_value(run, closure, Call(call.node, []))
    forget_counters(run, mark)
    _move(run, receiver, call)
    run.path = (path, Round(rounds), True)
    result = call_value(run, closure, Call(call.node, []))
    run.path = path
    nothing.note_use(run, call.node, nothing.result(run, call.node, closure, result), nothing.CLOSURE)
    return result


def _move(run: Run, receiver: Instance, call: Call) -> None:
    """Write to the parameters. One that searches writes to all of them, the others to those that have a gradient."""
    from gradls.flow.backward import may_be_gone
    from gradls.flow.writes import bump, outdate

    searches = receiver.data.get("searches")
    for tensor in parameters_of(receiver):
        if tensor.requires_grad is not False and (searches or not _is_passed_over(run, tensor)):
            gradient = tensor.fields.get("grad")
            filled = isinstance(gradient, Tensor) and not may_be_gone(run, gradient)
            # One without a gradient is passed over: whether code that is not seen gave it one, is not known.
            bump(run, tensor, "step", call.node, receiver, certain=True if filled or searches else None)
            if tensor.has_views and filled:
                outdate(run, tensor, call.node)


def _is_passed_over(run: Run, tensor: Tensor) -> bool:
    """Is it certain that a parameter has no gradient, since it was made or since it was cleared?"""
    known = tensor.fields.get("grad")
    if lacks_grad(run, tensor, known):
        return True
    cleared, outside = tensor.fields.get("empty_since"), run.outside["backward"]
    if not is_none(known) or cleared is None or outside is None or tensor.fields.get("*escaped"):
        return False
    return not run.isolated and cleared >= outside


@attribute(OPTIMIZER, "param_groups")
def param_groups(run: Run, receiver: Instance, node: ast.expr) -> Value:
    """One dictionary stands for all groups."""
    rest = run.unknown("parameter") if receiver.fields.get(MORE, True) else None
    parameters = Sequence(run.state, "list", parameters_of(receiver), rest)
    group = Mapping(run.state, {"params": parameters}, run.unknown("option"))
    parameters.fields[OF_OPTIMIZER] = group.fields[OF_OPTIMIZER] = receiver
    return Sequence(run.state, "list", (group,), group)


@attribute(OPTIMIZER, "defaults")
def defaults(run: Run, receiver: Instance, node: ast.expr) -> Value:
    """The options of groups that are added later: those that there are have their own."""
    options = Mapping(run.state, {}, run.unknown("option"))
    options.fields[DEFAULTS_OF] = receiver
    return options


@method(OPTIMIZER, "zero_grad")
def zero_grad(run: Run, receiver: Instance, call: Call) -> Value:
    tensors = list(parameters_of(receiver))
    run.event(
        "zero-grad", call.node, receiver, parameters=tensors, open=receiver.fields.get(MORE, True), kept=keeps(call)
    )
    clear_grads(run, tensors, call, receiver.fields.get(MORE, True) is not False)
    return NONE


@method(OPTIMIZER, "add_param_group")
def add_param_group(run: Run, receiver: Instance, call: Call) -> Value:
    _add(run, receiver, call.get(0, "param_group"), call.node)
    return NONE


def put_into_group(run: Run, group: Mapping | Sequence, index: Value, value: Value, target: ast.expr) -> None:
    """`group["params"] = parameters` and `group["params"][0] = parameter`, of a group of an optimizer: what it held
    before may still be there."""
    optimizer = group.fields.get(OF_OPTIMIZER)
    is_other = isinstance(group, Mapping) and isinstance(index, Host) and index.known and index.value != "params"
    if isinstance(optimizer, Instance) and not is_other:
        single = isinstance(value, Tensor)
        _add(run, optimizer, Sequence(run.state, "list", (value,)) if single else value, target)


def _add(run: Run, receiver: Instance, given: Value | None, node: ast.expr) -> None:
    tensors, more = held(given) if given is not None else ([], True)
    run.state.set(receiver.fields, HELD, (*parameters_of(receiver), *tensors))
    run.state.set(receiver.fields, MORE, receiver.fields.get(MORE, True) or more)
    perhaps, strange = others_of(given) if given is not None else (frozenset(), True)
    receiver.data["modules"] = None
    run.event(
        "group-added",
        node,
        receiver,
        given=given,
        parameters=tensors,
        open=more,
        perhaps=perhaps,
        strange=strange,
    )


@method(OPTIMIZER, "state_dict", "load_state_dict")
def state(run: Run, receiver: Instance, call: Call) -> Value:
    return run.unknown("state")


def create_scheduler(run: Run, path: str, call: Call) -> Value:
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    given = call.get(0, "optimizer")
    if given is not None:
        instance.fields["optimizer"] = given
    run.event("scheduler-made", call.node, instance, optimizer=given, call=call, begins=_first_factor(run, path, call))
    return instance


def _first_factor(run: Run, path: str, call: Call) -> Value | None:
    """What a `LambdaLR` multiplies the rate with until it is stepped: it asks its function at once."""
    from gradls.flow.calls import call_value

    rate = call.get(1, "lr_lambda") if path.endswith(".LambdaLR") and call.get(2, "last_epoch") is None else None
    return call_value(run, rate, Call(call.node, [host(0)])) if isinstance(rate, (Bound, Function)) else None


@method(SCHEDULER, "step")
def scheduler_step(run: Run, receiver: Instance, call: Call) -> Value:
    run.event("scheduler-step", call.node, receiver, call=call)
    return NONE


@method(SCHEDULER, "get_lr", "get_last_lr", "state_dict", "load_state_dict")
def scheduler_other(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "state_dict")
    run.event("scheduler-read", call.node, receiver, name=name)
    return run.unknown("call", name)


@function("torch.amp.GradScaler", "torch.cuda.amp.GradScaler", "torch.amp.grad_scaler.GradScaler")
def scaler(run: Run, path: str, call: Call) -> Value:
    instance = Instance(run.state, run.lib("torch.amp.GradScaler"), run.at(call.node))
    run.event("scaler-made", call.node, instance, path=path, call=call)
    return instance


@method("torch.amp.GradScaler", "scale")
def scale(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.operations import derived_tensor

    value = call.get(0, "outputs")
    run.event("scale", call.node, receiver, scaled=value)
    if isinstance(value, Tensor):
        return derived_tensor(run, "scale", [value], call.node, shape=value.shape, saves=True)
    return value if value is not None else run.unknown("call")


@method("torch.amp.GradScaler", "get_scale", "is_enabled", "state_dict", "load_state_dict")
def scaler_state(run: Run, receiver: Instance, call: Call) -> Value:
    return run.unknown("call", "scaler")


@method("torch.amp.GradScaler", "step")
def scaler_step(run: Run, receiver: Instance, call: Call) -> Value:
    optimizer = call.get(0, "optimizer")
    run.event("scaler-step", call.node, receiver, optimizer=optimizer, call=call, halves=_halves(optimizer))
    if isinstance(optimizer, Instance) and optimizer.path.startswith("torch.optim."):
        return step(run, optimizer, Call(call.node, call.args[1:], call.kwargs))
    return NONE


@method("torch.amp.GradScaler", "update", "unscale_")
def scaler_other(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "update")
    given = call.get(0, "optimizer")
    run.event("scaler-" + name.strip("_"), call.node, receiver, optimizer=given, halves=_halves(given))
    return NONE


def _halves(optimizer: Value | None) -> frozenset[Tensor]:
    """The parameters of an optimizer that are in half precision now."""
    parameters = parameters_of(optimizer) if isinstance(optimizer, Instance) else ()
    return frozenset(tensor for tensor in parameters if dtypes.exact(tensor) == "float16")
