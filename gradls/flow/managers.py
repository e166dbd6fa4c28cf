"""Generators with `@contextmanager`: what stands before the `yield` is run where a `with` block begins, the rest where
it is left."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from gradls.flow import abroad, calls, contexts, expressions, iterators, statements, truth
from gradls.flow.arguments import Call
from gradls.flow.escapes import escape
from gradls.flow.run import MOST_CALLS_DEEP, Frame, Scope
from gradls.flow.state import Fields
from gradls.flow.values import NONE, Function, Instance, Sequence, Tensor, Value
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

MANAGER = "contextlib._GeneratorContextManager"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_YIELDS = (ast.Yield, ast.YieldFrom)
Rest = tuple[Callable[[], bool], bool]
"""What is left to do in a generator; and is it done even after a `return`?"""


def made(run: Run, function: Function, call: Call, receiver: Value | None, owner: Value | None) -> Instance:
    """What a call of such a function gives: nothing of it has been run yet."""
    manager = Instance(run.state, run.lib(MANAGER), run.at(call.node))
    given = (*call.values, *((receiver,) if receiver is not None else ()))
    manager.fields["given"] = Sequence(run.state, "tuple", given)
    manager.data["generator"] = (function, call, receiver, owner)
    return manager


def enter(run: Run, manager: Instance, node: ast.expr) -> tuple[Value, Callable[[], None]]:
    """Run the generator to its `yield`: the value that it gives there, and what runs the rest."""
    function, call, receiver, owner = manager.data["generator"]
    if len(run.stack) >= MOST_CALLS_DEEP or run.stack.count(function) >= 2:
        escape(run, manager)
        return run.unknown("context"), _nothing
    mark, before, events = run.state.mark(), dict(run.mode), len(run.events)
    half = _Half(run, function, receiver, owner, call)
    found = _followed(run, function, half.given(call), half.begin)
    if found is None:
        escape(run, manager)
        return run.unknown("context"), _nothing
    if half.stands:
        return found, partial(_leave, run, half, manager)
    # It is not known where it stops. Then all of it has happened, and what it leaves is not known.
    run.state.undo(mark)
    run.mode.update(before)
    del run.events[events:]
    whole = calls.call_function(run, function, call, receiver, owner)
    return run.unknown("context"), partial(_both, _mode_of(run, whole), _doubt(run, mark, events))


def _mode_of(run: Run, whole: Value) -> Callable[[], None]:
    """Set the grad mode that a generator leaves to the block, whichever `yield` it stands at; what sets it back."""
    leak = whole.fields.get("left") if isinstance(whole, Sequence) else None
    if leak is not None:
        return contexts.set_mode(run, leak.grad, leak.inference, leak.at)
    if isinstance(whole, Sequence) and "left by some" in whole.fields and run.mode["grad"] is not False:
        return contexts.set_mode(run, None, None, whole.fields["left by some"])
    return _nothing


def _doubt(run: Run, mark: tuple[int, int], events: int) -> Callable[[], None]:
    """Forget for the block which tensors require grad that the generator changed, before its `yield` or behind it."""
    changed: dict[int, Fields] = {}
    for fields, key, _ in run.state.trail[mark[0] :]:
        if key == "requires_grad":
            changed[id(fields)] = fields
    # What a branch has changed and changed back is no write any more.
    for event in run.events[events:]:
        if event.kind == "freeze":
            changed.update((id(tensor.fields), tensor.fields) for tensor in event.info["parameters"])
        elif event.kind == "requires-grad-set" and isinstance(event.value, Tensor):
            changed[id(event.value.fields)] = event.value.fields
    behind = [(fields, fields["requires_grad"]) for fields in changed.values() if fields.born <= mark[1]]
    for fields, _ in behind:
        run.state.set(fields, "requires_grad", None)
    return partial(_settle, run, behind)


def _settle(run: Run, flags: list[tuple[Fields, bool | None]]) -> None:
    """What the generator left behind its end, unless the block has changed it itself."""
    for fields, flag in flags:
        if fields.get("requires_grad") is None:
            run.state.set(fields, "requires_grad", flag)


def _both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def _leave(run: Run, half: _Half, manager: Instance) -> None:
    if _followed(run, half.function, manager.fields["given"].items, half.end) is None:
        escape(run, manager)


def _followed(run: Run, function: Function, given: Iterable[Value], body: Callable[[], Value]) -> Value | None:
    """Run a part of the generator; None if it takes too long."""
    home = function.source is run.source
    if home is (run.frame.file is run.file):
        return body()
    return abroad.come_back(run, body) if home else abroad.leave(run, function, given, body)


class _Half:
    """A generator that stands at its `yield`, if `stands`."""

    def __init__(self, run: Run, function: Function, receiver: Value | None, owner: Value | None, call: Call) -> None:
        self.run = run
        self.function = function
        self.stands = False
        scope = Scope(Fields(run.state), function.scope, "function")
        scope.held = True
        calls.bind_arguments(run, function, call, scope.fields, receiver)
        self.frame = frame = Frame(scope, run.state.mark(), run.files[function.source], function)
        frame.receiver, frame.owner = receiver, function.owner or owner
        frame.calls = (run.at(call.node), function, run.frame.calls)
        self.rests: list[Rest] = []

    def given(self, call: Call) -> list[Value]:
        """What the generator was given."""
        return [*call.values, *([self.frame.receiver] if self.frame.receiver is not None else [])]

    def begin(self) -> Value:
        """Run it to its `yield`, and give what that gives."""
        run, function = self.run, self.function
        run.executed[function.node] = None
        run.read[function.node] = function.source
        if not isinstance(function.node, ast.Lambda):
            found = self._inside(partial(self._to_yield, function.node.body))
            if found is not None:
                self.stands = True
                return found
        return NONE

    def end(self) -> Value:
        """Run the rest."""
        run, frame = self.run, self.frame
        frame.exits, frame.ends, frame.ways, frame.mark = [], [], [], run.state.mark()
        self._inside(self._rest)
        return NONE

    def _rest(self) -> None:
        completes = True
        for action, always in self.rests:
            if completes or always:
                completes = action() and completes
        if self.frame.exits:
            calls.join_exits(self.run, self.frame, completes)

    def _inside(self, action: Callable[[], Value | None]) -> Value | None:
        run = self.run
        caller, path, caught = run.frame, run.path, run.caught
        run.frame, run.caught = self.frame, 0
        run.stack.append(self.function)
        restore = contexts.set_mode(run, *self.function.mode) if self.function.mode is not None else None
        try:
            return action()
        finally:
            if restore is not None:
                restore()
            run.stack.pop()
            run.frame, run.path, run.caught = caller, path, caught

    def _to_yield(self, body: list[ast.stmt]) -> Value | None:
        """Run statements up to the `yield` in them; None if it is not known which is the first to be reached."""
        run = self.run
        for number, statement in enumerate(body):
            if not self.function.source.once(yields, statement):
                if not statements.exec_block(run, [statement]):
                    return None
                continue
            rest = body[number + 1 :]
            if isinstance(statement, ast.If):
                arm = self._arm(statement)
                return None if arm is None else self._to_yield([*arm, *rest])
            self.rests.insert(0, (partial(statements.exec_block, run, rest), False))
            if isinstance(statement, (ast.With, ast.AsyncWith)):
                entered = contexts.Entered(run, statement)
                self.rests.insert(0, (partial(entered.leave, True), True))
                return self._to_yield(statement.body)
            if isinstance(statement, ast.Try):
                self.rests.insert(0, (partial(statements.exec_block, run, statement.finalbody), True))
                self.rests.insert(0, (partial(statements.exec_block, run, statement.orelse), False))
                return self._to_yield(statement.body)
            return self._here(statement)
        return None

    def _arm(self, statement: ast.If) -> list[ast.stmt] | None:
        """The branch that is taken, if that is known."""
        test = expressions.eval_expr(self.run, statement.test)
        known = truth.asked(self.run, test, statement.test)
        if known is None:
            return None
        truth.narrow(self.run, statement.test, known)
        return statement.body if known else statement.orelse

    def _here(self, statement: ast.stmt) -> Value | None:
        node = getattr(statement, "value", None)
        if not isinstance(node, ast.Yield) or not isinstance(statement, (ast.Expr, ast.Assign)):
            return None
        run = self.run
        value = expressions.eval_expr(run, node.value) if node.value is not None else NONE
        iterators.give(run, node, value)
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            statements.assign(run, target, run.unknown("sent"))
        return value


def yields(statement: ast.AST) -> bool:
    """Is there a `yield` of this very function in a statement?"""
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        return False
    return any(isinstance(node, _YIELDS) for node in walk(statement))


def _nothing() -> None:
    return None
