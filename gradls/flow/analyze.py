"""The engine's one entry: a source goes in, facts come out."""

from __future__ import annotations

import ast
import gc
import logging
import sys

from gradls.autograd.versions import NEWEST, Version
from gradls.flow import attributes, classes
from gradls.flow.arguments import Call
from gradls.flow.backward import check_result
from gradls.flow.calls import call_function
from gradls.flow.entries import Entry, forget_unclear, settle
from gradls.flow.facts import Facts
from gradls.flow.models.autograd_functions import context_arguments
from gradls.flow.models.modules import parameters_of
from gradls.flow.names import Names, NoNames
from gradls.flow.proofs import prove
from gradls.flow.run import MOST_STEPS, MOST_STEPS_A_FILE, MOST_STEPS_A_ROOT, MOST_STEPS_ABROAD_ALONE, OutOfBudget, Run
from gradls.flow.statements import exec_block
from gradls.flow.values import Bound, Class, Function, Host, Instance, Mapping, Sequence, Value
from gradls.syntax.source import Source

log = logging.getLogger(__name__)


def analyze(source: Source, names: Names | None = None, target: Version = NEWEST) -> Facts:
    """What is known about the gradients in `source` when it runs on version `target` of PyTorch.

    The module's statements are run first, as Python would; then every function and method that they did not call, with
    arguments of which nothing is known. Raises nothing: what cannot be followed is unknown.
    """
    run = Run(source, names or NoNames(), target)
    collects = gc.isenabled()
    gc.disable()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 6000))
    try:
        _attempt(run, lambda: exec_block(run, source.tree.body), MOST_STEPS)
        prove(run, run.facts.events)
        forget_unclear(run)
        _run_uncalled(run)
        settle(run, run.entries)
    finally:
        sys.setrecursionlimit(limit)
        if collects:
            gc.enable()
    for state in run.states.values():
        (run.facts.states if state.source is source else run.facts.states_elsewhere).append(state)
    return run.facts


def _attempt(run: Run, action: object, budget: int) -> bool:
    """Do something within a budget of steps. What goes wrong inside costs this part of the analysis only."""
    run.limit = run.steps + budget
    frame, path, mode = run.frame, run.path, dict(run.mode)
    try:
        action()  # type: ignore[operator]
        return True
    except OutOfBudget:
        log.info("%s: a function takes too many steps to follow", run.source.path)
    except RecursionError:
        log.info("%s: an expression is nested too deeply to follow", run.source.path)
    except Exception:
        log.exception("the analysis failed in %s; please report this", run.source.path)
    run.facts.unfinished = True
    run.frame, run.path = frame, path
    run.mode.update(mode)
    run.stack.clear()
    run.rough = run.isolated = run.casting = run.forwards = 0
    return False


def _root(run: Run, action: object, budget: int, node: ast.AST | None = None) -> bool:
    """Run something that nobody in the file calls: the function `node`, or the making of an object.

    A caller may have switched gradients off. Only where something here calls backward it is certain that they were on.
    Objects are made with gradients on.
    """
    states, events = run.states, len(run.facts.events)
    run.states, run.reached, run.unclear, run.open = {}, set(), set(), {}
    done = _attempt(run, action, budget)
    recorded = node is None or any(event.kind in ("backward", "grad-call") for event in run.facts.events[events:])
    for event in run.facts.events[events:]:
        event.info["hypothetical"] = not recorded
    prove(run, run.facts.events[events:])
    for state in run.states.values():
        state.called = False
    run.entries.append(Entry(node, run.states, run.reached, run.unclear, recorded))
    run.states = states
    return done


def _call(run: Run, function: Function, call: Call, receiver: Value | None = None) -> None:
    """Call a function that nobody in the file calls, and see what a backward of its result would do."""
    check_result(run, call_function(run, function, call, receiver), function.node)


def _run_uncalled(run: Run) -> None:
    """Run what the module's own statements did not."""
    run.alone = True
    run.abroad = min(run.abroad, MOST_STEPS_ABROAD_ALONE)
    run.mode.update({"grad": True, "inference": False, "at": None, "leak": None})
    for value in _definitions(run, run.module.fields.values()):
        if run.steps > MOST_STEPS_A_FILE:
            log.info("%s: too long to follow to its end", run.source.path)
            run.facts.unfinished = True
            return
        mark = run.state.mark()
        # What is declared in annotations is made before a function runs, within the same bounds.
        run.limit = run.steps + MOST_STEPS_A_ROOT
        try:
            _run_definition(run, value)
        except OutOfBudget:
            log.info("%s: `%s` takes too many steps to follow", run.source.path, value.name)  # type: ignore[attr-defined]
            run.stack.clear()
            run.rough = run.isolated = 0
        run.state.undo(mark)


def _run_definition(run: Run, value: Value) -> None:
    if isinstance(value, Function):
        run.since = run.state.clock
        if value.written.node not in run.executed:
            node = value.written.node
            _root(run, lambda: _call(run, value, arguments(run, value, False)), MOST_STEPS_A_ROOT, node)
    elif isinstance(value, Class):
        _run_methods(run, value)


def _definitions(run: Run, values: object) -> list[Value]:
    found = [value for value in values if isinstance(value, (Function, Class)) and _source(value) is run.source]  # type: ignore[attr-defined]
    return list(dict.fromkeys(found))


def _source(value: Function | Class) -> Source:
    return value.written.source if isinstance(value, Function) else value.source


def _run_methods(run: Run, cls: Class) -> None:
    """Run the methods of a class that nobody called, each on a new object."""
    methods = [value for value in cls.fields.values() if isinstance(value, Function)]
    uncalled = [method for method in methods if method.written.node not in run.executed]
    if not uncalled:
        return
    if classes.FUNCTION in classes.library_bases(cls):
        _run_custom_function(run, cls, uncalled)
        return
    holder: list[Value] = []
    init, _ = classes.find_in_class(cls, "__init__")
    call = arguments(run, init, True) if isinstance(init, Function) else Call(cls.node, [], {}, True)  # type: ignore[arg-type]
    if not _root(run, lambda: holder.append(classes.instantiate(run, cls, call)), MOST_STEPS_A_ROOT):
        holder.append(_open_instance(run, cls))
    receiver = holder[0]
    if isinstance(receiver, Instance):
        receiver.name = receiver.name or "self"
        for _, tensor in parameters_of(receiver)[0]:
            # Whoever made the object may have converted it.
            tensor.fields["exact"] = None
    _run_templates(run, cls, receiver)
    for method in sorted(uncalled, key=lambda method: method.name != "forward"):
        if method.written.node in run.executed:
            continue
        mark = run.state.mark()
        bound = method.kind != "static"
        target: Value = cls if method.kind == "class" else receiver
        run.since = run.state.clock
        _root(
            run,
            lambda method=method, bound=bound, target=target: _call(
                run, method, arguments(run, method, bound), target if bound else None
            ),
            MOST_STEPS_A_ROOT,
            method.written.node,
        )
        run.state.undo(mark)


_OFF = frozenset(("no_grad", "inference_mode", "set_grad_enabled"))


def _run_templates(run: Run, cls: Class, receiver: Value) -> None:
    """Run the inherited methods that switch gradients off and call methods of this class, for what these see then."""
    for base in classes.linearize(cls)[1:]:
        for method in base.fields.values() if isinstance(base, Class) else ():
            if not isinstance(method, Function) or classes.find_in_class(cls, method.name)[0] is not method:
                continue
            names = {node.attr for node in ast.walk(method.node) if isinstance(node, ast.Attribute)}
            if method.kind or not names & _OFF or not names & cls.fields.keys():
                continue
            mark, events, executed = run.state.mark(), len(run.facts.events), set(run.executed)
            call = arguments(run, method, True)
            _root(
                run,
                lambda method=method, call=call: call_function(run, method, call, receiver),
                MOST_STEPS_A_ROOT,
                method.node,
            )
            run.state.undo(mark)
            run.executed = executed
            # What happens in the base class is for its own file to tell.
            del run.facts.events[events:]


def _open_instance(run: Run, cls: Class) -> Instance:
    instance = Instance(run.state, cls)
    instance.open = True
    return instance


def _run_custom_function(run: Run, cls: Class, methods: list[Function]) -> None:
    """The methods of a custom autograd Function are not recorded."""
    for method in methods:
        mark = run.state.mark()
        run.isolated += 1
        call = context_arguments(run, method, arguments(run, method, False))
        _root(run, lambda method=method, call=call: call_function(run, method, call), MOST_STEPS_A_ROOT, method.node)
        run.isolated = 0
        run.state.undo(mark)


def arguments(run: Run, function: Function, bound: bool) -> Call:
    """Arguments of which only the annotations are known, for a function that nobody calls."""
    function = function.written
    node = function.node.args
    positional = [*node.posonlyargs, *node.args]
    if bound and positional and function.kind != "static":
        positional = positional[1:]
    args = [_argument(run, parameter, function) for parameter in positional]
    kwargs = {parameter.arg: _argument(run, parameter, function) for parameter in node.kwonlyargs}
    call = Call(function.node, args, kwargs)  # type: ignore[arg-type]
    if node.vararg is not None or node.kwarg is not None:
        call.unsure = True
    return call


def _argument(run: Run, parameter: ast.arg, function: Function) -> Value:
    default = function.defaults.get(parameter.arg)
    if isinstance(default, (Function, Class, Bound, Instance, Sequence, Mapping)):
        return default
    value = attributes.annotated(run, parameter, function)
    if default is not None and isinstance(default, Host) and default.kind in ("int", "float"):
        return Host(default.kind)
    return value
