"""The hooks of modules: what registers them, and what they do when the module is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.classes import MODULE, find_in_class
from gradls.flow.models.registry import method
from gradls.flow.values import (
    NONE,
    Bound,
    Class,
    Function,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Value,
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run

HANDLE = "torch.utils.hooks.RemovableHandle"
HOOKS = "*hooks"
"""The field of a module with its forward hooks, in the order in which they run."""
BACKWARD = "*hooked"
"""The field of a module with the places where full backward hooks were registered; none: there are none."""
KIND = "*backward-hooks"
"""The field of a module that says of which kind its backward hooks are. Removing them does not change it."""


class Hook(NamedTuple):
    """A forward hook. `before`: it runs before the module. `keywords`: it gets the keyword arguments as well."""

    function: Value
    before: bool
    keywords: bool | None


@method(MODULE, "register_forward_hook", "register_forward_pre_hook")
def register_forward(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    function = call.get(0, "hook")
    run.event("module-hook", call.node, receiver, name=name, hook=function, mixed=None)
    if function is None:
        return run.unknown("handle")
    keywords = truth.truth(run, call.kwargs["with_kwargs"]) if "with_kwargs" in call.kwargs else False
    hook = Hook(function, name.endswith("pre_hook"), keywords)
    hooks = receiver.fields.get(HOOKS, ())
    first = "prepend" in call.kwargs and truth.truth(run, call.kwargs["prepend"]) is not False
    run.state.set(receiver.fields, HOOKS, (hook, *hooks) if first else (*hooks, hook))
    return _handle(run, receiver, call, HOOKS, hook)


@method(MODULE, "register_full_backward_hook", "register_full_backward_pre_hook", "register_backward_hook")
def register_backward(run: Run, receiver: Instance, call: Call) -> Value:
    """A full one puts a custom Function around the module; one of the old kind hangs on its last operation."""
    name = getattr(getattr(call.node, "func", None), "attr", "")
    kind = {"register_full_backward_hook": "full", "register_backward_hook": "old"}.get(name, "")
    before = receiver.fields.get(KIND)
    mixed = before[1] if kind and before is not None and before[0] != kind else None
    run.event("module-hook", call.node, receiver, name=name, hook=call.get(0, "hook"), mixed=mixed)
    place = run.at(call.node)
    if kind and before is None:
        run.state.set(receiver.fields, KIND, (kind, place))
    if kind == "old":
        return run.unknown("handle")
    run.state.set(receiver.fields, BACKWARD, (*receiver.fields.get(BACKWARD, ()), place))
    return _handle(run, receiver, call, BACKWARD, place)


def _handle(run: Run, module: Instance, call: Call, field: str, entry: object) -> Instance:
    handle = Instance(run.state, run.lib(HANDLE), run.at(call.node))
    handle.data = {"module": module, "field": field, "entry": entry}
    return handle


@method(HANDLE, "remove", "__exit__")
def remove(run: Run, receiver: Instance, call: Call) -> Value:
    module, field, entry = (receiver.data.get(name) for name in ("module", "field", "entry"))
    if isinstance(module, Instance) and isinstance(field, str):
        kept = tuple(other for other in module.fields.get(field, ()) if other is not entry)
        run.state.set(module.fields, field, kept)
    return NONE


def before_forward(run: Run, module: Instance, call: Call) -> Call:
    """Run the hooks that see the arguments of a module, and may change them."""
    for hook in module.fields.get(HOOKS, ()):
        if not hook.before or not _is_known(hook.function):
            continue
        given = Sequence(run.state, "tuple", tuple(call.args), call.rest)
        result = _call(run, hook, call, [module, given])
        if isinstance(result, Sequence) and hook.keywords is False:
            call = Call(call.node, list(result.items), call.kwargs, call.unsure or result.rest is not None)
        elif isinstance(result, Tensor) and hook.keywords is False:
            call = Call(call.node, [result], call.kwargs)
        elif not is_none(result):
            unknown: list[Value] = [run.unknown("argument") for _ in call.args]
            call = Call(call.node, unknown, dict.fromkeys(call.kwargs, run.unknown("argument")), call.unsure)
    return call


def after_forward(run: Run, module: Instance, call: Call, result: Value) -> Value:
    """Run the hooks that see what a module gives, and may give something else."""
    for hook in module.fields.get(HOOKS, ()):
        if hook.before or not _is_known(hook.function):
            continue
        given = Sequence(run.state, "tuple", tuple(call.args), call.rest)
        changed = _call(run, hook, call, [module, given], result)
        if not is_none(changed):
            result = changed
    return result


def _call(run: Run, hook: Hook, call: Call, args: list[Value], *more: Value) -> Value:
    from gradls.flow.calls import call_value

    if hook.keywords is None:
        return run.unknown("hook")
    if hook.keywords:
        args.append(Mapping(run.state, dict(call.kwargs)))
    return call_value(run, hook.function, Call(call.node, [*args, *more]))


def _is_known(function: Value) -> bool:
    """Is a hook a function of the program? What others do is not followed."""
    if isinstance(function, Instance) and isinstance(function.cls, Class):
        return isinstance(find_in_class(function.cls, "__call__")[0], Function)
    if isinstance(function, Instance):
        return function.path == "functools.partial"
    return isinstance(function, Function) or (isinstance(function, Bound) and function.function is not None)
