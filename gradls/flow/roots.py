"""Where the analysis begins to run: the module's own statements, and what nobody in the file calls."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator
from functools import partial

from gradls.flow import attributes, class_text, classes, contexts, elsewhere, hierarchy, trainers, unparsed, variants
from gradls.flow.arguments import Call
from gradls.flow.backward import check_result
from gradls.flow.calls import call_function
from gradls.flow.chapters import Chapter, forget_unclear
from gradls.flow.mistakes import tell
from gradls.flow.models.autograd_functions import context_arguments, run_apart
from gradls.flow.models.modules import contents, parameters_of
from gradls.flow.models.registry import load
from gradls.flow.proofs import prove
from gradls.flow.run import (
    MOST_STEPS,
    MOST_STEPS_A_DEFINITION,
    MOST_STEPS_A_ROOT,
    MOST_STEPS_ABROAD_ALONE,
    OutOfBudget,
    Run,
)
from gradls.flow.statements import exec_block
from gradls.flow.values import ITEMS, Bound, Class, Function, Host, Instance, Mapping, Sequence, Tensor, Value, is_none
from gradls.syntax.source import Source
from gradls.syntax.walk import walk

log = logging.getLogger(__name__)

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def run_module(run: Run) -> Chapter:
    """Run the module's statements, as Python would. What a statement does of which the analysis fails nobody knows;
    those behind it are run all the same, and where there are too many steps to do still those that define something."""
    load()
    run.begin(run.source.tree)
    run.limit = MOST_STEPS
    rest, reached = iter(run.source.tree.body), [run.source.tree.body[:1]]
    while not _attempt(run, partial(_run_statements, run, rest, reached)):
        is_over = run.steps > run.limit
        for statement in reached[0]:
            _attempt(run, partial(unparsed.anything, run, statement))
        if is_over:
            _define(run, rest)
            break
    chapter = run.end()
    _attempt(run, partial(prove, run, chapter))
    forget_unclear(chapter)
    return chapter


def _run_statements(run: Run, statements: Iterator[ast.stmt], reached: list[list[ast.stmt]]) -> None:
    """Run statements one after the other; `reached` holds the one that it has come to."""
    for statement in statements:
        reached[0] = [statement]
        if not exec_block(run, reached[0]):
            return


def _define(run: Run, statements: Iterator[ast.stmt]) -> None:
    """Make what statements define that are not run any more."""
    for statement in statements:
        if isinstance(statement, _DEFINITIONS):
            run.limit = run.steps + MOST_STEPS_A_DEFINITION
            _attempt(run, partial(exec_block, run, [statement]))
        else:
            _attempt(run, partial(unparsed.forget_targets, run, statement))


def definitions(run: Run) -> list[Function | Class]:
    """The functions and classes that the module defines, in order."""
    values = run.module.fields.values()
    found = [value for value in values if isinstance(value, (Function, Class)) and _source(value) is run.source]
    return list(dict.fromkeys(found))


def inner_definitions(run: Run, chapter: Chapter) -> Iterator[Function]:
    """The functions that a chapter defined inside of others, and that nobody in the file has called yet: they were
    returned, or handed to unknown code."""
    seen: set[ast.AST] = set()
    while new := [node for node in chapter.inner if node not in seen]:
        for node in new:
            seen.add(node)
            if node not in chapter.executed:
                yield chapter.inner[node].written


def _source(value: Function | Class) -> Source:
    return value.written.source if isinstance(value, Function) else value.source


def methods(cls: Class) -> list[Function]:
    """The functions that a class defines, `forward` first."""
    found = [value for value in cls.fields.values() if isinstance(value, Function)]
    return sorted(found, key=lambda method: method.name != "forward")


def run_function(run: Run, function: Function) -> Chapter:
    """Run a function."""
    node = function.written.node
    run.hands_on = variants.handed_on(node)
    try:
        return _run_alone(run, node, lambda: _call(run, function, arguments(run, function, False)))
    finally:
        run.hands_on = None


def run_method(run: Run, cls: Class, method: Function, receiver: Value) -> Chapter:
    """Run a method of a class on `receiver`, an object of it."""
    bound = method.kind != "static"
    target = cls if method.kind == "class" else receiver

    def call() -> None:
        if hierarchy.is_evaluation(cls, method.name):
            contexts.set_mode(run, False, False, run.at(method.node))
        if bound and trainers.of_method(cls, method.name):
            trainers.train(run, cls, method, target, partial(arguments, run, method, True))
        else:
            _call(run, method, arguments(run, method, bound), target if bound else None)

    return _run_alone(run, method.written.node, call)


def run_template(run: Run, method: Function, receiver: Value) -> Chapter:
    """Run an inherited method for what the methods of the class see that it calls.

    What happens in the base class is for its own file to tell.
    """
    chapter = _run_alone(run, method.node, lambda: call_function(run, method, arguments(run, method, True), receiver))
    chapter.events.clear()
    chapter.executed.clear()
    return chapter


def run_method_of_function(run: Run, method: Function) -> Chapter:
    """Run a method of a custom autograd Function, which is not recorded."""
    return _run_alone(run, method.written.node, partial(_call_of_function, run, method))


def _call_of_function(run: Run, method: Function) -> None:
    receiver = method.owner if method.kind == "class" else None
    given = context_arguments(run, method, arguments(run, method, receiver is not None))
    run_apart(run, partial(call_function, run, method, given, receiver))


def make(run: Run, cls: Class) -> tuple[Chapter, Value]:
    """Make an object of a class, with arguments of which nothing is known."""
    holder: list[Value] = []
    chapter = _run_alone(run, cls.node, partial(_instantiate, run, cls, holder))
    if not holder:
        holder.append(Instance(run.state, cls))
        holder[0].open = True  # type: ignore[attr-defined]
    receiver = holder[0]
    if isinstance(receiver, Instance):
        receiver.name = receiver.name or "self"
        for _, tensor in parameters_of(receiver)[0]:
            # Whoever made the object may have converted it.
            tensor.fields["exact"] = None
        _forget_what_changes(run, receiver)
        _may_be_filled(run, receiver)
    return chapter, receiver


def _forget_what_changes(run: Run, made: Instance) -> None:
    """By the time that a method is called others may have filled what the object holds, and put something else in the
    place of it."""
    buffers = made.data.get("buffers", ())
    for base in hierarchy.linearize(made.cls) if isinstance(made.cls, Class) else ():
        if not isinstance(base, Class):
            continue
        for name in class_text.fills(base):
            held = _attribute(made, name)
            if isinstance(held, (Sequence, Mapping)) and held.rest is None:
                run.state.set(held.fields, "rest", run.unknown("filled"))
            if isinstance(held, Mapping):
                _forget_numbers(run, held)
        for name in class_text.rebinds(base):
            held = made.fields.get(name)
            tensor = isinstance(held, Tensor) and not held.is_parameter and name not in buffers
            if held is not None and (tensor or (isinstance(held, Host) and not is_none(held))):
                run.state.set(made.fields, name, run.join.values([held, run.unknown("attribute", name)]))


def _may_be_filled(run: Run, made: Instance) -> None:
    """A container of layers with nothing in it keeps a place: a derived class puts something there."""
    for held in list(made.fields.values()):
        items = held.fields.get(ITEMS) if isinstance(held, Instance) else None
        if isinstance(items, (Sequence, Mapping)) and items.rest is None and not any(contents(held)):
            run.state.set(items.fields, "rest", run.unknown("filled"))


def _attribute(made: Instance, name: str) -> Value | None:
    """An attribute, or the attribute `y` of the attribute `x` with the name `x.y`."""
    first, _, second = name.partition(".")
    held: Value | None = made.fields.get(first)
    if not second:
        return held
    if isinstance(held, Sequence) and second in held.names and held.whole:
        return held.items[held.names.index(second)]
    return held.fields.get(second) if isinstance(held, Instance) else None


def _forget_numbers(run: Run, held: Mapping) -> None:
    """Others may have put something else under the keys that are there: `self.losses[name] = loss`."""
    slots = [(held.entries, key, value) for key, value in held.entries.items()]
    for fields, key, value in [*slots, (held.fields, "rest", held.rest)]:
        if isinstance(value, Host) or (isinstance(value, Tensor) and not value.is_parameter):
            run.state.set(fields, key, run.join.values([value, run.unknown("filled")]))


def _instantiate(run: Run, cls: Class, holder: list[Value]) -> None:
    init, _ = hierarchy.find_in_class(cls, "__init__")
    call = arguments(run, init, True) if isinstance(init, Function) else Call(cls.node, [], {}, True)  # type: ignore[arg-type]
    holder.append(classes.instantiate(run, cls, call))


def _run_alone(run: Run, node: ast.AST, action: Callable[[], object]) -> Chapter:
    """Run something that nobody in the file calls: the function `node`, or the making of an object of the class `node`.

    A caller may have switched gradients off. Only where something here calls backward it is certain that they were on.
    Objects are made with gradients on.
    """
    run.alone = True
    run.abroad = MOST_STEPS_ABROAD_ALONE
    run.since = run.state.clock
    run.mode.update({"grad": True, "inference": False, "at": None, "leak": None})
    run.outside["graphs"] = None
    if run.sets_dtype:
        run.state.set(run.outside, "dtype", None)
    elsewhere.forget_what_functions_fill(run)
    run.begin(node)
    if not isinstance(node, ast.ClassDef):
        run.read[node] = run.source
    run.limit = run.steps + MOST_STEPS_A_ROOT
    _attempt(run, action)
    _attempt(run, partial(_run_inner, run))
    chapter = run.end()
    chapter.inner.clear()
    made = isinstance(node, ast.ClassDef)
    chapter.recorded = made or any(event.kind in ("backward", "grad-call") for event in chapter.events)
    for event in chapter.events:
        event.hypothetical = not chapter.recorded
    _attempt(run, partial(prove, run, chapter))
    for state in chapter.states.values():
        state.called = False
    return chapter


def sets_default_dtype(source: Source) -> bool:
    """Does a function of the file set the default dtype to something else? What it is in the others depends on who
    calls which first."""
    if "set_default_" not in source.text:
        return False
    return any(source.once(_sets_default_dtype, statement) for statement in source.tree.body)


def _sets_default_dtype(statement: ast.AST) -> bool:
    if not isinstance(statement, _DEFINITIONS):
        return False
    calls = [node for node in walk(statement) if isinstance(node, ast.Call) and _last_name(node.func) in _SETTERS]
    return any(not call.args or _last_name(call.args[0]) not in _USUAL for call in calls)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value).rpartition(".")[2]
    return getattr(node, "attr", getattr(node, "id", ""))


_SETTERS = frozenset(("set_default_dtype", "set_default_tensor_type"))
_USUAL = frozenset(("float", "float32", "FloatTensor"))


def _run_inner(run: Run) -> None:
    """Run what was defined inside of the function that was run, and not called there."""
    for function in inner_definitions(run, run.chapter):
        _call(run, function, arguments(run, function, False))


def _attempt(run: Run, action: Callable[[], object]) -> bool:
    """Do something within the limit of steps; whether it came to its end. What goes wrong inside costs this chapter, or
    this statement of the module, only."""
    frame, path, mode, isolated = run.frame, run.path, dict(run.mode), run.isolated
    try:
        action()
    except OutOfBudget:
        log.info(
            "%s: `%s` takes too many steps to follow", run.source.path, getattr(run.chapter.node, "name", "module")
        )
    except RecursionError:
        log.info("%s: an expression is nested too deeply to follow", run.source.path)
    except Exception as error:
        tell(log, "the analysis", f"{run.source.path}:{_line(run)}", error)
    else:
        run.isolated = isolated
        return True
    run.chapter.unfinished = True
    run.frame, run.path = frame, path
    run.mode.update(mode)
    run.stack.clear()
    run.rough = run.isolated = run.casting = run.forwards = run.expected = run.caught = run.autocast = run.copying = 0
    return False


def _line(run: Run) -> int:
    """Where the chapter begins."""
    try:
        return run.source.line(run.chapter.node) or 1
    except Exception:
        return 1


def _call(run: Run, function: Function, call: Call, receiver: Value | None = None) -> None:
    """Call a function that nobody in the file calls, and see what a backward of its result would do."""
    check_result(run, call_function(run, function, call, receiver), function.node)


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
        # Who writes 1 may be given 1.5.
        return Host("number" if default.kind == "int" and parameter.annotation is None else default.kind)
    return value
