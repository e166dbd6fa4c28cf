"""Threads: each has a grad mode of its own, which begins switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import contexts
from gradls.flow.arguments import Call
from gradls.flow.graph import At
from gradls.flow.models.registry import function, method
from gradls.flow.values import NONE, Bound, Function, Instance, Mapping, Sequence, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

THREAD = "threading.Thread"
POOL = "concurrent.futures.ThreadPoolExecutor"


@function(THREAD, "threading.Timer", POOL)
def make(run: Run, path: str, call: Call) -> Value:
    """A thread or a pool of threads; what it is given may be used at any time."""
    from gradls.flow.calls import escape

    for value in call.values:
        escape(run, value)
    instance = Instance(run.state, run.lib(POOL if path == POOL else THREAD), run.at(call.node))
    instance.open = True
    target = call.kwargs.get("target") if path == THREAD else call.get(1, "function")
    args, kwargs = call.kwargs.get("args"), call.kwargs.get("kwargs")
    instance.data["work"] = (
        target,
        list(args.items) if isinstance(args, Sequence) and args.rest is None else None if args is not None else [],
        dict(kwargs.entries) if isinstance(kwargs, Mapping) else {},
    )
    return instance


@method(THREAD, "start")
def start(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import escape

    if "work" in receiver.data:
        _look_at(run, call, *receiver.data["work"])
    else:
        # An object of a class of the program: what its `run` does may happen at any time.
        escape(run, receiver)
    return NONE


@method(POOL, "submit")
def submit(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import escape

    for value in call.values:
        escape(run, value)
    if call.args and not call.unsure:
        _look_at(run, call, call.args[0], call.args[1:], call.kwargs)
    return run.unknown("call", "submit")


@method(POOL, "map")
def submit_each(run: Run, receiver: Instance, call: Call) -> Value:
    from gradls.flow.calls import escape

    for value in call.values:
        escape(run, value)
    lists = call.args[1:]
    if lists and not call.unsure and all(isinstance(part, Sequence) and part.elements for part in lists):
        _look_at(run, call, call.args[0], [part.elements[0] for part in lists], {})  # type: ignore[attr-defined]
    return run.unknown("call", "map")


def _look_at(run: Run, call: Call, target: Value | None, args: list[Value] | None, kwargs: dict[str, Value]) -> None:
    """Write down a thread that computes something with a graph though it is started where gradients are off. Whatever
    else it does is left alone: nobody knows when."""
    from gradls.flow.calls import call_value

    at = run.mode["at"]
    if run.recording is not False or at is None or args is None or not isinstance(target, (Function, Bound)):
        return
    count, executed, mark = len(run.events), len(run.executed), run.state.mark()
    leak = contexts.Leak(True, False, None, run.at(call.node))
    contexts.set_mode(run, True, False, None)
    run.state.set(run.mode, "leak", leak)
    try:
        call_value(run, target, Call(call.node, list(args), dict(kwargs)))
    finally:
        run.state.undo(mark)
        del run.events[count:]
        run.forget_executed(executed)
    if leak.uses:
        run.event("thread-start", call.node, target, off=at, uses=list[At](leak.uses))
