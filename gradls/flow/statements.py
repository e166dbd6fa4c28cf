"""Statements: what each does to the state, and whether it comes to its end."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from gradls.flow import (
    attributes,
    calls,
    contexts,
    doubts,
    expressions,
    hierarchy,
    imports,
    latches,
    nothing,
    operators,
    patterns,
    subscripts,
    truth,
    unparsed,
)
from gradls.flow.contents import tensors_in
from gradls.flow.loops import exec_for, exec_while
from gradls.flow.run import Arm, OutOfBudget, Run, Scope
from gradls.flow.state import Changes, Fields
from gradls.flow.values import (
    HELD,
    NONE,
    Bound,
    Choice,
    Function,
    Host,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
)
from gradls.syntax.walk import walk


def exec_block(run: Run, body: Iterable[ast.stmt]) -> bool:
    """Run statements in order; False if the end is not reached (return, raise, break, continue)."""
    for statement in body:
        run.steps += 1
        if run.steps > run.limit:
            raise OutOfBudget
        if not EXEC[type(statement)](run, statement):
            return False
    return True


def _expr(run: Run, statement: ast.Expr) -> bool:
    if isinstance(statement.value, ast.GeneratorExp):
        # Nobody goes through it, so that nothing of it is run but this.
        expressions.eval_expr(run, statement.value.generators[0].iter)
        return True
    value = expressions.eval_expr(run, statement.value)
    if not isinstance(statement.value, ast.Constant):
        run.event("statement", statement, value)
    return True


def _assign(run: Run, statement: ast.Assign) -> bool:
    value = expressions.eval_expr(run, statement.value)
    if type(value) is Unknown and value.origin == "missing":
        return False  # It raises, and a handler takes it.
    for target in statement.targets:
        assign(run, target, value)
    return True


def _ann_assign(run: Run, statement: ast.AnnAssign) -> bool:
    if statement.value is not None:
        assign(run, statement.target, expressions.eval_expr(run, statement.value))
    elif isinstance(statement.target, ast.Name) and run.frame.scope.kind == "class":
        run.state.set(run.frame.scope.fields, statement.target.id, run.unknown("annotation", statement.target.id))
    return True


def _aug_assign(run: Run, statement: ast.AugAssign) -> bool:
    target = statement.target
    old = expressions.eval_expr(run, expressions.as_load(target))
    new = expressions.eval_expr(run, statement.value)
    value = operators.augmented(run, statement, old, new)
    assign(run, target, value, augmented=True)
    return True


_NAME: Final = ast.Name


def assign(run: Run, target: ast.expr, value: Value, augmented: bool = False) -> None:
    """Bind `value` to a target of an assignment."""
    if type(target) is _NAME:
        if type(value) is Tensor:
            _note_rebinding(run, target, value)
            bind(run, target.id, value)
            run.observe(target, value)
        else:
            if type(value) is Instance:
                _note_replacing(run, target, value)
                if run.frame.loops:
                    run.event("named", target, value)
            elif type(value) is Unknown:
                _note_unknown_rebinding(run, target, value)
            bind(run, target.id, value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(run, target, value)
    elif isinstance(target, ast.Starred):
        assign(run, target.value, value)
    elif isinstance(target, ast.Attribute):
        attributes.set_attribute(run, expressions.eval_expr(run, target.value), target.attr, value, target, augmented)
    elif isinstance(target, ast.Subscript):
        receiver = expressions.eval_expr(run, target.value)
        index = expressions.eval_expr(run, target.slice)
        subscripts.set_item(run, receiver, index, value, target, augmented)


def _note_rebinding(run: Run, target: ast.Name, value: Tensor) -> None:
    """Write down that a name gets another tensor than it had, in a loop, or while a list has the old one."""
    scope = _scope_of(run, target.id)
    fields = scope.fields
    old = fields.get(target.id)
    if not isinstance(old, Tensor) or old is value or scope.kind == "comprehension":
        return
    if run.frame.loops or (old.leaf is True and old.requires_grad is True and _is_held(fields, old)):
        run.event("rebound", target, value, value.node, old=old)


def _note_unknown_rebinding(run: Run, target: ast.Name, value: Unknown) -> None:
    """The same for an element of something unknown that is iterated over, such as the parameters of a model, and for a
    model that something unknown takes the place of."""
    scope = _scope_of(run, target.id)
    old = scope.fields.get(target.id)
    if old is None or old is value or scope.kind == "comprehension":
        return
    if type(old) is Unknown and old.origin in ("data", "derived"):
        if run.frame.loops:
            run.event("unknown-rebound", target, value, old=old)
    elif (
        value.origin == "call"
        and ("parameters" in old.fields if type(old) is Unknown else type(old) is Instance and hierarchy.is_module(old))
        and not _is_of_loop(run, target)
    ):
        run.event("model-rebound", target, value, old=old)


def _note_replacing(run: Run, target: ast.Name, value: Instance) -> None:
    """Write down that a name gets another model than it had: one of the same class, or on a branch, behind which it has
    either."""
    old = _scope_of(run, target.id).fields.get(target.id)
    if type(old) is not Instance or old is value or not hierarchy.is_module(old) or not hierarchy.is_module(value):
        return
    by_branch = run.path is not None and not run.frame.loops
    if (by_branch or old.cls is value.cls) and not _is_of_loop(run, target):
        run.event("model-rebound", target, value, old=old, by_branch=by_branch)


def _is_of_loop(run: Run, target: ast.expr) -> bool:
    """Is a name one of those that a loop gives each element to? What it had before is there as before."""
    parent = run.frame.file.source.parent
    outer = parent(target)
    while isinstance(outer, (ast.Tuple, ast.List, ast.Starred)):
        outer = parent(outer)
    return isinstance(outer, (ast.For, ast.AsyncFor, ast.comprehension))


def _is_held(fields: Fields, tensor: Tensor) -> bool:
    """Is a tensor also an element of a list that has a name, or a parameter of an optimizer?"""
    for value in fields.values():
        if isinstance(value, Sequence) and any(item is tensor for item in value.items):
            return True
        if isinstance(value, Mapping) and any(item is tensor for item in value.entries.values()):
            return True
        if isinstance(value, Instance) and any(item is tensor for item in value.fields.get(HELD, ())):
            return True
    return False


def bind(run: Run, name: str, value: Value) -> None:
    """Bind a name in the scope of now."""
    scope = _scope_of(run, name)
    if run.alone and scope.kind == "module" and name not in scope.fields and isinstance(value, Host):
        # Somebody else may have bound it.
        scope.fields.may_be(name, run.unknown("global", name))
    attributes.give_name(value, name)
    run.state.set(scope.fields, name, value)


def _scope_of(run: Run, name: str) -> Scope:
    """The scope that has a name that is bound now."""
    scope = run.frame.scope
    while scope.kind == "comprehension" and scope.parent is not None and name not in scope.fields:
        scope = scope.parent
    return scope.redirect.get(name, scope)


def _unpack(run: Run, target: ast.Tuple | ast.List, value: Value) -> None:
    nothing.note_use(run, target, value, "it is taken apart")
    values = expressions.unpack(run, value, target.elts)
    for element, part in zip(target.elts, values, strict=True):
        assign(run, element, part)


def _delete(run: Run, statement: ast.Delete) -> bool:
    for target in statement.targets:
        if isinstance(target, ast.Name):
            fields = run.frame.scope.find(target.id)
            if fields is not None:
                run.state.drop(fields, target.id)
        elif isinstance(target, ast.Attribute):
            attributes.delete_attribute(run, expressions.eval_expr(run, target.value), target.attr, target)
        elif isinstance(target, ast.Subscript):
            receiver = expressions.eval_expr(run, target.value)
            subscripts.delete_item(run, receiver, expressions.eval_expr(run, target.slice), target)
    return True


def _if(run: Run, statement: ast.If) -> bool:
    test = expressions.eval_expr(run, statement.test)
    known = truth.asked(run, test, statement.test)
    _note_rounds(run, statement, known)
    if known is not None:
        truth.narrow(run, statement.test, known)
        return exec_block(run, statement.body if known else statement.orelse)
    latch = latches.latch(run, statement)
    if latch is not None and latch.closed:
        return exec_block(run, statement.orelse if latch.once else statement.body)
    return run.fork(
        [
            (test, True, partial(_branch, run, statement.test, True, statement.body, latch)),
            (test, False, partial(_branch, run, statement.test, False, statement.orelse, latch)),
        ]
    )


def _note_rounds(run: Run, statement: ast.If, known: bool | None) -> None:
    """What happens in every so many rounds, and not in the first, is followed by others: `if step % 100 == 0`."""
    if known is True or not run.frame.loops:
        return
    loop = run.frame.loops[-1]
    if known is None:
        loop.late = loop.late or statement in loop.passed
    elif run.frame.file.source.once(_asks_for_remainder, statement.test):
        loop.passed.add(statement)


def _asks_for_remainder(test: ast.AST) -> bool:
    return any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod) for part in walk(test))


def _branch(run: Run, test: ast.expr, taken: bool, body: list[ast.stmt], latch: latches.Latch | None = None) -> bool:
    truth.narrow(run, test, taken)
    completes = exec_block(run, body)
    if latch is not None:
        latch.leave(run, taken)
    return completes


def _with(run: Run, statement: ast.With | ast.AsyncWith) -> bool:
    entered = contexts.Entered(run, statement)
    goes_on = contexts.expects_error(statement) and not _always_left(statement.body)
    mark, path = run.state.mark(), run.path
    completes = False
    try:
        completes = exec_block(run, statement.body)
    finally:
        entered.leave(completes)
    if goes_on:
        # An error in it ends the block, and the program goes on behind it.
        run.path = path
        doubts.doubt(run, doubts.written(run, mark))
    return completes or goes_on


def _always_left(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Return, ast.Break, ast.Continue))


def _try(run: Run, statement: ast.Try) -> bool:
    begun: doubts.Written = []
    tried = partial(_tried, run, statement, begun)
    arms: list[Arm] = [(statement, 0, tried)]
    for number, clause in enumerate(statement.handlers, 1):
        arms.append((statement, number, partial(_handler, run, clause, begun)))
    completes = run.fork(arms) if len(arms) > 1 else tried()
    return exec_block(run, statement.finalbody) and completes


def _tried(run: Run, statement: ast.Try, begun: doubts.Written) -> bool:
    """Run what is tried; `begun` gets what it has written, which may be there in the handlers."""
    catches = contexts.catches_errors(statement)
    mark = run.state.mark()
    run.caught += catches
    try:
        completes = exec_block(run, statement.body)
    finally:
        run.caught -= catches
    if statement.handlers:
        begun += doubts.written(run, mark, tensors=True)
    return completes and exec_block(run, statement.orelse)


def _handler(run: Run, clause: ast.ExceptHandler, begun: doubts.Written) -> bool:
    doubts.doubt(run, begun)
    if clause.name:
        bind(run, clause.name, run.unknown("exception", clause.name))
    # Who comes here had an error before: values are others than those with which there would have been none.
    run.caught += 1
    try:
        return exec_block(run, clause.body)
    finally:
        run.caught -= 1


def _return(run: Run, statement: ast.Return) -> bool:
    value = expressions.eval_expr(run, statement.value) if statement.value is not None else NONE
    frame = run.frame
    contexts.leave_blocks(run, 0, 0)
    frame.ends.append(run.path)
    frame.exits.append((_peek(run, frame.mark) if frame.forks else None, value))
    frame.ways.append(run.state.way())
    # What is in a container now: what was put there is taken back before others look at it.
    parts = tuple(tensors_in(value)) if isinstance(value, (Sequence, Mapping, Choice)) else (value,)
    nodes = tuple([part.node for part in parts if type(part) is Tensor])
    run.event("return", statement, value, function=frame.function, parts=parts, nodes=nodes)
    return False


def _peek(run: Run, mark: tuple[int, int]) -> Changes:
    """What was written since `mark`. Each way out of a function has its own."""
    changes = run.state.peek(mark)
    run.copied(len(changes))
    return changes


def _raise(run: Run, statement: ast.Raise) -> bool:
    if statement.exc is not None:
        expressions.eval_expr(run, statement.exc)
    return False


def _break(run: Run, statement: ast.stmt) -> bool:
    if run.frame.loops:
        loop = run.frame.loops[-1]
        contexts.leave_blocks(run, loop.modes, loop.leaving)
        loop.breaks.append((_peek(run, loop.mark), run.state.way()))
    return False


def _continue(run: Run, statement: ast.stmt) -> bool:
    if run.frame.loops:
        loop = run.frame.loops[-1]
        contexts.leave_blocks(run, loop.modes, loop.leaving)
        loop.continues.append((_peek(run, loop.round_mark), run.state.way()))
    return False


def _assert(run: Run, statement: ast.Assert) -> bool:
    test = expressions.eval_expr(run, statement.test)
    if truth.asked(run, test, statement.test) is not False:
        truth.narrow(run, statement.test, True)
    # `assert False` says that nothing comes behind it.
    return not isinstance(statement.test, ast.Constant) or bool(statement.test.value)


def _function(run: Run, statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    bind(run, statement.name, calls.define_function(run, statement))
    return True


def _class(run: Run, statement: ast.ClassDef) -> bool:
    value = calls.define_class(run, statement)
    for decorator in reversed(statement.decorator_list):
        function = expressions.eval_expr(run, decorator)
        method = function.function if isinstance(function, Bound) else function
        if isinstance(method, Function) and not method.decorated:
            # It may keep the class, in a registry; what it gives back is the class or stands for it.
            calls.call_value(run, function, calls.Call(decorator, [value]))
    run.state.set(run.frame.scope.redirect.get(statement.name, run.frame.scope).fields, statement.name, value)
    return True


def _import(run: Run, statement: ast.Import) -> bool:
    for alias in statement.names:
        name, value = imports.plain(run, alias)
        run.state.set(run.frame.scope.fields, name, value)
    return True


def _import_from(run: Run, statement: ast.ImportFrom) -> bool:
    for alias in statement.names:
        for name, value in imports.names_from(run, statement, alias):
            run.state.set(run.frame.scope.redirect.get(name, run.frame.scope).fields, name, value)
    return True


def _global(run: Run, statement: ast.Global) -> bool:
    for name in statement.names:
        run.frame.scope.redirect[name] = run.frame.scope.module
    return True


def _nonlocal(run: Run, statement: ast.Nonlocal) -> bool:
    for name in statement.names:
        scope = run.frame.scope.parent
        while scope is not None and (scope.kind == "class" or name not in scope.fields):
            scope = scope.parent
        if scope is not None:
            run.frame.scope.redirect[name] = scope
    return True


def _match(run: Run, statement: ast.Match) -> bool:
    subject = expressions.eval_expr(run, statement.subject)
    possible = list(patterns.possible(run, statement.cases, subject))
    if len(possible) == 1 and possible[0][1]:
        return _case(run, possible[0][0], subject)
    arms: list[Arm] = [
        (statement, number, partial(_case, run, case, subject)) for number, (case, _) in enumerate(possible)
    ]
    if not possible or not possible[-1][1]:
        arms.append((statement, -1, lambda: True))
    return run.fork(arms)


def _case(run: Run, case: ast.match_case, subject: Value) -> bool:
    patterns.bind(run, case.pattern, subject)
    if case.guard is not None:
        guard = expressions.eval_expr(run, case.guard)
        if truth.asked(run, guard, case.guard) is False:
            return False
        truth.narrow(run, case.guard, True)
    return exec_block(run, case.body)


def _pass(run: Run, statement: ast.Pass) -> bool:
    text = unparsed.written_instead(run, statement)
    return unparsed.execute(run, statement, text) if text else True


EXEC: dict[type, Callable[..., bool]] = {
    ast.Expr: _expr,
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.AugAssign: _aug_assign,
    ast.Delete: _delete,
    ast.If: _if,
    ast.For: exec_for,
    ast.AsyncFor: exec_for,
    ast.While: exec_while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Assert: _assert,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Global: _global,
    ast.Nonlocal: _nonlocal,
    ast.Match: _match,
    ast.Pass: _pass,
}
for _newer in ("TryStar", "TypeAlias"):
    if hasattr(ast, _newer):
        EXEC[getattr(ast, _newer)] = _try if _newer == "TryStar" else lambda run, statement: True
