"""Calls: of functions and classes of the program, of bound methods, and of what has a model."""

from __future__ import annotations

import ast
from functools import partial
from typing import TYPE_CHECKING, Final

from gradls.autograd.ops import find_op
from gradls.flow import (
    abroad,
    attributes,
    choices,
    classes,
    contexts,
    elsewhere,
    fillings,
    gaps,
    hierarchy,
    lazies,
    nothing,
    registries,
    variants,
)
from gradls.flow.arguments import Call
from gradls.flow.chapters import may_be_of_the_file
from gradls.flow.contents import as_now, tensors_in
from gradls.flow.escapes import escape, method_escapes, unsettle
from gradls.flow.models.registry import find_function, find_method, is_partly_modelled
from gradls.flow.program import is_stub
from gradls.flow.run import MOST_CALLS_DEEP, Frame, Scope
from gradls.flow.state import Fields
from gradls.flow.unknown_modules import WHOSE
from gradls.flow.values import (
    HOLDER,
    NONE,
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


_MOST_ENTRIES = 8
"""So many calls of a function of another file are remembered."""
_CONTAINERS = ("torch.nn.Sequential", "torch.nn.modules.container.Sequential")
_NAME: Final = ast.Name
_STARRED: Final = ast.Starred
_ATTRIBUTE: Final = ast.Attribute


def eval_call(run: Run, node: ast.Call) -> Value:
    """The value of a call expression."""
    named = node.func
    if type(named) is _NAME and named.id == "super" and run.frame.scope.find("super") is None:
        return classes.super_of(run, node)
    function = expressions.eval_expr(run, named)
    if function is NONE and run.alone:
        function = elsewhere.set_elsewhere(run, named) or function
    call = evaluate_arguments(run, node)
    if type(function) is Bound and (function.name == "forward" or function.name.endswith(".forward")):
        classes.note_direct_forward(run, node, function)
    if run.lazy:
        lazies.check_call(run, function, call)
    if type(function) is Bound and function.name == "forward" and type(named) is _ATTRIBUTE:
        # What `super()` gives is a part of the forward that is called.
        through_super = type(named.value) is ast.Call
        value = call_value(run, function, call) if through_super else classes.call_forward(run, function, call)
    else:
        value = call_value(run, function, call)
    if value is NONE:
        value = nothing.result(run, node, function, value)
    elif type(value) is Instance and value.made is None:
        value.made = run.path
    if run.frame.file is run.file:
        run.calls.setdefault(node, []).append((function, call, value))
    return value


def evaluate_arguments(run: Run, node: ast.Call) -> Call:
    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    unsure = False
    rest: Value | None = None
    others: list[Value] = []
    gap: int | None = None
    for argument in node.args:
        if type(argument) is _STARRED:
            value = expressions.eval_expr(run, argument.value)
            nothing.note_use(run, argument, value, "it is gone through")
            value = _spread(run, value)
            if isinstance(value, Sequence):
                args += value.items
                unsure = unsure or value.rest is not None
                rest = value.rest
                if value.rest is not None:
                    others.append(value.rest)
                    if not value.items:
                        args.append(value.rest)
            else:
                unsure = True
            if unsure and gap is None:
                gap = len(args)
        else:
            args.append(expressions.eval_expr(run, argument))
    for keyword in node.keywords:
        value = expressions.eval_expr(run, keyword.value)
        if keyword.arg is not None:
            kwargs[keyword.arg] = value
        elif isinstance(value, Mapping):
            for key, item in value.entries.items():
                if isinstance(key, str):
                    # Without it there is the default, if there is one.
                    there = key not in value.unsure
                    kwargs[key] = item if there else run.join.values([item, run.unknown("argument", key)])
            unsure = unsure or value.rest is not None
        else:
            unsure = True
    call = Call(node, args, kwargs, unsure)
    if rest is not None and len(node.args) == 1:
        call.rest = rest
    call.others = others
    if gap is not None and gap < len(args):
        call.gap = gap
    return call


_MOST_ROWS = 16


def _spread(run: Run, value: Value) -> Value:
    """What `*value` gives, as a list where it is known: the parts of a container module, the rows of a tensor."""
    from gradls.flow.loops import container_elements
    from gradls.flow.subscripts import row

    if isinstance(value, Tensor):
        first = value.shape[0] if value.shape else None
        if first is None or first > _MOST_ROWS:
            return Sequence(run.state, "list", (), row(run, value))
        return Sequence(run.state, "list", tuple([row(run, value) for _ in range(first)]))
    return container_elements(run, value) or value


def call_value(run: Run, function: Value, call: Call) -> Value:
    """Call a value."""
    if type(function) is Bound:
        if function.function is not None:
            if "manager" in function.function.fields:
                return managers.made(run, function.function, call, function.receiver, function.owner)
            return call_function(run, function.function, call, function.receiver, function.owner)
        return call_method(run, function.receiver, function.name, call)
    if type(function) is Lib:
        return call_library(run, function, call)
    if type(function) is Function:
        if "manager" in function.fields:
            return managers.made(run, function, call, None, None)
        return call_function(run, function, call)
    if type(function) is Class:
        return classes.instantiate(run, function, call)
    if type(function) is Instance:
        if call.gap is not None and type(function.cls) is not Class:
            call = gaps.unplaced(run, call)
        return classes.call_instance(run, function, call)
    if type(function) is Choice:
        return choices.call_choice(run, function, call)
    nothing.note_use(run, call.node, function, "it is called")
    nothing.note_call_of_keys(run, call.node, function)
    return call_unknown(run, function, call)


def call_unknown(run: Run, function: Value, call: Call) -> Value:
    """A call of something unknown: its arguments may go anywhere and be changed."""
    given = call.values
    for value in given:
        escape(run, value)
    if run.recording is False and given:
        run.chapter.switched_off = run.chapter.switched_off or may_be_of_the_file(function)
    if isinstance(function, Unknown):
        holder = function.fields.get(HOLDER)
        if holder is not None:
            method_escapes(run, holder)
        parts = [as_now(run, value) for value in given]
        event = run.event("unknown-call", call.node, function, arguments=parts, grad=run.mode["grad"])
        if function.question is not None:
            question = function.question._replace(called=True)
            answer = run.ask(question)
            if answer is not None:
                return imports.value_of_answer(run, answer, question)
        result = _unknown_result(run, function, call)
        event.info["result"] = result
        return result
    return _unknown_result(run, None, call)


def _unknown_result(run: Run, function: Unknown | None, call: Call) -> Value:
    name = function.name if function is not None else ""
    receiver = function.fields.get("of") if function is not None else None
    pure = function is not None and function.plain
    if receiver is not None:
        model = find_method(receiver, name)
        if model is not None:
            return model(run, receiver, call)
    if isinstance(receiver, Unknown):
        if name == "copy" and "registry" in receiver.fields:
            # A copy of `__dict__` makes another object of what this one has.
            escape(run, receiver.fields["registry"])
        found = unknowns.unknown_method(run, name, receiver, call)
        if found is not None:
            return found
        fillings.put_by_method(run, receiver, name, call)
    if receiver is None and name == "item" and not call.values and isinstance(call.node, ast.Call):
        return Host("number")  # whatever has this method: tensors, arrays, what NumPy counts with
    values = [*([receiver] if receiver is not None else []), *call.values]
    if function is not None and (function.among or function.origin == "branches"):
        # It may be a module that is known, whose parameters the result depends on.
        values.append(function)
    # A method that no tensor is given to, as `model.get_weight()`, may give a parameter.
    gets = receiver is not None and not any(tensors_in(value) for value in call.values)
    result = operations.unknown_operation(run, name, values, call.node, pure=pure, gets=gets)
    node = result.fields.get(("node",)) if isinstance(result, Unknown) else None
    if node is not None and receiver is None:
        node.fields["called"] = function
    if name == "parameters" and isinstance(receiver, Unknown) and isinstance(result, Unknown) and not call.values:
        result.fields[WHOSE] = (receiver,)
    return result


def call_method(run: Run, receiver: Value, name: str, call: Call) -> Value:
    """Call a method that has a model, on a receiver that is no object of the program."""
    if name == "backward" and isinstance(receiver, (Host, Sequence, Mapping)):
        run.event("backward-of-no-tensor", call.node, receiver)
    if isinstance(receiver, Class) and call.args and hierarchy.is_instance(call.args[0], receiver):
        # `Base.__init__(self)`: the object comes as an argument.
        return call_method(run, call.args[0], name, Call(call.node, call.args[1:], call.kwargs, call.unsure))
    own = receiver.cls if isinstance(receiver, Instance) else None
    if isinstance(own, Class) and "torch.Tensor" in hierarchy.library_bases(own):
        # An object of a subclass of Tensor: nothing is known of it as a tensor.
        return run.unknown("method", name.rpartition(".")[2])
    model = find_method(receiver, name)
    if isinstance(receiver, Class) and hierarchy.FUNCTION not in hierarchy.library_bases(receiver):
        # The methods that have models are those of objects.
        model = None
    if model is not None:
        return model(run, receiver, call)
    if isinstance(receiver, Tensor):
        return operations.tensor_method(run, receiver, name, call)
    if isinstance(receiver, Instance) and is_partly_modelled(receiver.path):
        given = Call(call.node, [receiver, *call.args], call.kwargs, call.unsure)
        return call_unknown(run, run.unknown("attribute", name), given)
    if isinstance(receiver, Instance) and name.endswith("__init__"):
        # A constructor that is not known may keep what it is given.
        run.state.set(receiver.fields, ("kept",), [*receiver.fields.get(("kept",), ()), *call.values])
    for value in [receiver, *call.values] if isinstance(receiver, Instance) else call.values:
        escape(run, value)
    registries.note_method(run, receiver, call)
    return run.unknown("method", name)


def call_library(run: Run, function: Lib, call: Call) -> Value:
    """Call a function or class of a library."""
    path = function.path
    if call.gap is not None and path.startswith("torch.") and path not in _CONTAINERS:
        op = find_op(path)
        call = call if op is not None and op.variadic else gaps.unplaced(run, call)
    model = find_function(path)
    if model is not None:
        return model(run, path, call)
    return fallback.call(run, function, call)


def call_function(
    run: Run, function: Function, call: Call, receiver: Value | None = None, owner: Value | None = None
) -> Value:
    """Run the body of a function of the program with these arguments."""
    stack = run.stack
    if call.gap is not None:
        call = gaps.placed(run, function, call, int(receiver is not None and function.kind != "static"))
    if len(stack) >= MOST_CALLS_DEEP or stack.count(function) >= 2:
        _leave_open(function, call, receiver)
        unsettle(run, function, [*call.values, *([receiver] if receiver is not None else [])])
        return run.unknown("recursion", function.name)
    if isinstance(receiver, Instance) and receiver.data.get("declared") and _is_left_to_others(function):
        return _not_followed(run, function, call, receiver)
    if _takes_fewer(function, call, receiver):
        # It is another one that is called: that of a derived class.
        return _not_followed(run, function, call, receiver)
    if (
        is_stub(function.source)
        or "compiled" in function.fields
        or (call.node is run.hands_on and not variants.is_followed(run, function))
    ):
        return _not_followed(run, function, call, receiver)
    home = function.source is run.source
    if not home:
        entered = run.entered.setdefault(function.node, [])
        if len(entered) < _MOST_ENTRIES and all(at.node is not call.node for at in entered):
            entered.append(run.at(call.node))
    if home is (run.frame.file is run.file):
        return _call_function(run, function, call, receiver, owner)

    body = partial(_call_function, run, function, call, receiver, owner)
    if home:
        return abroad.come_back(run, body)
    given = [*call.values, *([receiver] if receiver is not None else [])]
    value = abroad.leave(run, function, given, body)
    return value if value is not None else _not_followed(run, function, call, receiver)


def _not_followed(run: Run, function: Function, call: Call, receiver: Value | None) -> Value:
    """A call of a function that may do anything: what it gives may come from all that it was given, its object too."""
    _leave_open(function, call, receiver)
    given = [*call.values, *([receiver] if receiver is not None else [])]
    unknown = run.unknown("call", function.name)
    unknown.fields["body"] = function
    return call_unknown(run, unknown, Call(call.node, given, {}, call.unsure))


def _leave_open(function: Function, call: Call, receiver: Value | None) -> None:
    """An object of which the constructor was not followed has attributes that nobody knows."""
    made = receiver if receiver is not None else next(iter(call.args), None)
    if function.name == "__init__" and isinstance(made, Instance):
        made.open = True


def _call_function(
    run: Run, function: Function, call: Call, receiver: Value | None = None, owner: Value | None = None
) -> Value:
    run.breathe()
    scope = Scope(Fields(run.state), function.scope, "function")
    bind_arguments(run, function, call, scope.fields, receiver)
    run.executed[function.node] = None
    run.read[function.node] = function.source
    if run.recording is not False:
        run.reached.add(function.node)
    frame = Frame(scope, run.state.mark(), run.files[function.source], function)
    frame.receiver, frame.owner = receiver, function.owner or owner
    frame.calls = (run.at(call.node), function, run.frame.calls)
    caller, path, caught, apart = run.frame, run.path, run.caught, len(run.state.apart)
    # What callers do about errors is no reason to be silent about them.
    run.caught = 0
    run.frame = frame
    run.stack.append(function)
    may_cast = function.casts or function.decorated
    run.casting += may_cast
    run.copying += function.casts
    restore = contexts.set_mode(run, *function.mode) if function.mode is not None else None
    try:
        value = _run_body(run, function, frame)
    finally:
        if restore is not None:
            restore()
        run.stack.pop()
        run.casting -= may_cast
        run.copying -= function.casts
        del run.state.apart[apart:]
        run.frame, run.caught = caller, caught
        run.path = path
    if not scope.held:
        run.state.forget(frame.mark, scope.fields)
    if isinstance(value, Unknown) and value.origin == "never":
        # What is said of the arguments may not hold for those that the program has, or it is for a derived class to
        # say what the method does.
        _leave_open(function, call, receiver)
        if isinstance(receiver, Instance):
            escape(run, receiver)
    return run.unknown("decorated", function.name) if function.decorated else value


def _is_left_to_others(function: Function) -> bool:
    """Does it do nothing, so that a derived class says what it does?"""
    body = function.node.body
    return isinstance(body, list) and all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in body
    )


def _takes_fewer(function: Function, call: Call, receiver: Value | None) -> bool:
    """Does Python refuse the call, for more positional arguments than there are parameters?"""
    arguments = function.node.args
    given = len(call.args) + (receiver is not None and function.kind != "static")
    return (
        arguments.vararg is None and not function.decorated and given > len(arguments.posonlyargs) + len(arguments.args)
    )


def _run_body(run: Run, function: Function, frame: Frame) -> Value:
    if isinstance(function.node, ast.Lambda):
        return expressions.eval_expr(run, function.node.body)
    completes = statements.exec_block(run, function.node.body)
    exits = frame.exits
    if completes and function.owner is not None and function.name == "backward":
        run.event("end", function.node, NONE, function=function)
    if frame.yields or _is_generator(function):
        if exits:
            join_exits(run, frame, completes)
        given = frame.yields or [run.unknown("element")]
        made = Sequence(run.state, "iterator", (), run.join.values(given))
        if frame.left and all(leak is not None and leak.at == frame.left[0].at for leak in frame.left):
            made.fields["left"] = frame.left[0]
        elif any(leak is not None for leak in frame.left):
            made.fields["left by some"] = next(leak.at for leak in frame.left if leak is not None)
        return made
    if not exits:
        return NONE if completes else run.unknown("never")
    values = [value for _, value in exits]
    if completes:
        values.append(NONE)
    paths = [*frame.ends, run.path] if completes else frame.ends
    join_exits(run, frame, completes)
    return run.join.on_paths(values, paths)


def _is_generator(function: Function) -> bool:
    """Does it yield anywhere, reached or not?"""
    body = function.node.body
    return isinstance(body, list) and any(function.source.once(managers.yields, statement) for statement in body)


def join_exits(run: Run, frame: Frame, completes: bool) -> None:
    """Continue from all ways in which a function was left."""
    exits = frame.exits
    if len(exits) + completes > 1 or exits[0][0] is not None:
        outcomes = [changes for changes, _ in exits if changes is not None]
        ends = [end for end, (changes, _) in zip(frame.ends, exits, strict=True) if changes is not None]
        ways = [way for way, (changes, _) in zip(frame.ways, exits, strict=True) if changes is not None]
        if completes or any(changes is None for changes, _ in exits):
            outcomes.append(run.state.peek(frame.mark))
            ends.append(run.path if completes else frame.ends[-1])
            ways.append(run.state.way())
        run.state.undo(frame.mark)
        run.join.paths = ends
        run.state.merge(frame.mark, outcomes, run.join.slot, None if frame.scope.held else frame.scope.fields, ways)
        run.join.paths = []


def bind_arguments(run: Run, function: Function, call: Call, fields: Fields, receiver: Value | None) -> None:
    """Give the parameters of a function their values in `fields`."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args] if arguments.posonlyargs else arguments.args
    args = call.args
    if receiver is not None and function.kind != "static":
        args = [receiver, *args]
    kwargs = call.kwargs.copy()
    for parameter, value in zip(positional, args, strict=False):
        fields[parameter.arg] = value
    for parameter in [*positional[len(args) :], *arguments.kwonlyargs]:
        if parameter.arg in kwargs:
            fields[parameter.arg] = kwargs.pop(parameter.arg)
        elif call.unsure:
            fields[parameter.arg] = run.unknown("argument", parameter.arg)
        elif parameter.arg in function.defaults:
            fields[parameter.arg] = function.defaults[parameter.arg]
        else:
            fields[parameter.arg] = attributes.annotated(run, parameter, function)
    if arguments.vararg is not None:
        rest = run.unknown("argument", arguments.vararg.arg) if call.unsure else None
        fields[arguments.vararg.arg] = Sequence(run.state, "tuple", tuple(args[len(positional) :]), rest)
    if arguments.kwarg is not None:
        rest = run.unknown("argument", arguments.kwarg.arg) if call.unsure else None
        fields[arguments.kwarg.arg] = Mapping(run.state, kwargs, rest)


def define_function(run: Run, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Function:
    """The function that a `def` or `lambda` makes."""
    scope: Scope = run.frame.scope
    function = Function(run.state, node, scope, run.frame.file.source)
    scope.held = True
    while scope.kind == "comprehension" and scope.parent is not None:
        scope = scope.parent
        scope.held = True
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    for parameter, default in zip(
        positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True
    ):
        function.defaults[parameter.arg] = expressions.eval_expr(run, default)
    for parameter, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if keyword_default is not None:
            function.defaults[parameter.arg] = expressions.eval_expr(run, keyword_default)
    if not isinstance(node, ast.Lambda):
        for decorator in reversed(node.decorator_list):
            function = contexts.decorate(run, function, expressions.eval_expr(run, decorator), decorator)
        frame = run.frame
        if frame.function is not None and frame.file is run.file and frame.scope.kind == "function":
            run.chapter.inner[node] = function
    return function


def define_class(run: Run, node: ast.ClassDef) -> Class:
    return classes.define_class(run, node)


def iterate(run: Run, value: Instance) -> Value:
    return classes.iterate(run, value)


# These begin calls themselves: they are needed only when everything is there.
from gradls.flow import expressions, imports, managers, operations, statements  # noqa: E402
from gradls.flow.models import fallback, unknowns  # noqa: E402
