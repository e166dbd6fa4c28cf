"""What registers the hooks of modules, and what they do when the module is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.hierarchy import MODULE, find_in_class
from gradls.flow.hooks import BACKWARD, HOOKS, KIND, Hook, is_there
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


@method(MODULE, "register_forward_hook", "register_forward_pre_hook")
def register_forward(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    function = call.get(0, "hook")
    run.event("module-hook", call.node, receiver, name=name, hook=function, mixed=None)
    if function is None:
        return run.unknown("handle")
    keywords = truth.truth(run, call.kwargs["with_kwargs"]) if "with_kwargs" in call.kwargs else False
    hook = Hook(function, name.endswith("pre_hook"), keywords, _handle(run, receiver, call, HOOKS))
    hooks = receiver.fields.get(HOOKS, ())
    first = "prepend" in call.kwargs and truth.truth(run, call.kwargs["prepend"]) is not False
    run.state.set(receiver.fields, HOOKS, (hook, *hooks) if first else (*hooks, hook))
    return hook.handle


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
    hook = Hook(call.get(0, "hook"), False, None, _handle(run, receiver, call, BACKWARD))
    run.state.set(receiver.fields, BACKWARD, (*receiver.fields.get(BACKWARD, ()), hook))
    return hook.handle


def _handle(run: Run, module: Instance, call: Call, field: str) -> Instance:
    handle = Instance(run.state, run.lib(HANDLE), run.at(call.node))
    handle.data = {"module": module, "field": field}
    return handle


@method(HANDLE, "remove", "__exit__")
def remove(run: Run, receiver: Instance, call: Call) -> Value:
    module, field = receiver.data.get("module"), receiver.data.get("field")
    if isinstance(module, Instance) and isinstance(field, str):
        kept = tuple(hook for hook in module.fields.get(field, ()) if hook.handle is not receiver)
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
    """What a hook gives. One that may be gone by now is run as what may happen, of which nothing is told."""
    from gradls.flow.calls import call_value

    if hook.keywords is None or hook.function is None:
        return run.unknown("hook")
    if hook.keywords:
        args.append(Mapping(run.state, dict(call.kwargs)))
    body = partial(call_value, run, hook.function, Call(call.node, [*args, *more]))
    if is_there(run, hook):
        return body()
    results: list[Value] = []

    def there() -> bool:
        results.append(body())
        return True

    told = len(run.events)
    run.fork([(hook, True, there), (hook, False, lambda: True)])
    del run.events[told:]
    return NONE if all(is_none(result) for result in results) else run.unknown("hook")


def _is_known(function: Value | None) -> bool:
    """Is a hook a function of the program? What others do is not followed."""
    if isinstance(function, Instance) and isinstance(function.cls, Class):
        return isinstance(find_in_class(function.cls, "__call__")[0], Function)
    if isinstance(function, Instance):
        return function.path == "functools.partial"
    return isinstance(function, Function) or (isinstance(function, Bound) and function.function is not None)
