"""Calls that give nothing: the None that they return remembers them, so that its use can be told."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.hierarchy import find_in_class, is_module
from gradls.flow.values import NONE, Bound, Class, Function, Instance, Mapping, Nothing, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.autograd.ops import Op
    from gradls.flow.run import Run

KEYS = ("missing_keys", "unexpected_keys")
"""The names of the tuple that `load_state_dict` returns."""
_OF_TUPLES = frozenset((*KEYS, "count", "index", "_asdict", "_replace", "_fields", "_make", "_field_defaults"))
_OF_LISTS = frozenset(("append", "extend", "insert", "sort", "reverse", "clear", "remove", "appendleft", "extendleft"))
_OF_SETS = frozenset(("add", "update", "clear", "remove", "discard"))
_OF_DICTIONARIES = frozenset(("update", "clear"))
_OF_MODULES = frozenset(
    ("zero_grad", "register_buffer", "register_parameter", "add_module", "register_module", "add_param_group")
)


def result(run: Run, node: ast.AST, function: Value, value: Value) -> Value:
    """The value of a call: a None that knows where it comes from, if the call never returns anything else."""
    if value is not NONE:
        return value
    if isinstance(function, Bound) and function.function is None:
        return Nothing(run.at(node), None) if _is_procedure(function, node) else value
    called = _body(function)
    if called is not None and isinstance(function, Bound) and called.source.once(_is_to_be_replaced, called.node):
        return run.unknown("call", called.name)
    if (
        called is None
        or (run.alone and _may_be_another(function))
        or called.source.once(returns_something, called.node)
    ):
        return value
    return Nothing(run.at(node), called)


def _is_procedure(method: Bound, node: ast.AST) -> bool:
    """Is this a method of a library that returns None?"""
    receiver, name = method.receiver, method.name
    if isinstance(receiver, Sequence):
        return name in (_OF_SETS if receiver.kind == "set" else _OF_LISTS)
    if isinstance(receiver, Mapping):
        return name in _OF_DICTIONARIES
    if isinstance(receiver, Tensor):
        return name == "backward"
    if not isinstance(receiver, Instance):
        return False
    if receiver.path.startswith("torch.optim."):
        return name in ("zero_grad", "add_param_group") or (
            name == "step" and isinstance(node, ast.Call) and not node.args and not node.keywords
        )
    return is_module(receiver) is True and name in _OF_MODULES


def _body(function: Value) -> Function | None:
    """The function of the program that a call runs."""
    if isinstance(function, Bound):
        return function.function
    if isinstance(function, Instance) and isinstance(function.cls, Class):
        found = next((find_in_class(function.cls, name)[0] for name in ("__call__", "forward")), None)
        found = found if isinstance(found, Function) else find_in_class(function.cls, "forward")[0]
        return found if isinstance(found, Function) else None
    return function if isinstance(function, Function) else None


def _may_be_another(function: Value) -> bool:
    """May a class that derives from this one have another method there?"""
    receiver = function.receiver if isinstance(function, Bound) else function
    return isinstance(receiver, Instance) and (receiver.at is None or not isinstance(receiver.at.node, ast.Call))


def returns_something(function: ast.AST) -> bool:
    """May a function return a value? So may one that is decorated, and one that is only there to be replaced."""
    if isinstance(function, ast.Lambda) or getattr(function, "decorator_list", None):
        return True
    if _is_to_be_replaced(function):
        return True
    todo: list[ast.AST] = list(getattr(function, "body", ()))
    while todo:
        part = todo.pop()
        if isinstance(part, (ast.Yield, ast.YieldFrom)) or (isinstance(part, ast.Return) and part.value is not None):
            return True
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo += ast.iter_child_nodes(part)
    return isinstance(function, ast.AsyncFunctionDef)


def _is_to_be_replaced(function: ast.AST) -> bool:
    """Is it only there for derived classes to say what it does?"""
    if isinstance(function, ast.Lambda):
        return False
    body: list[ast.stmt] = list(getattr(function, "body", ()))
    return all(isinstance(part, (ast.Pass, ast.Raise)) or _is_text(part) for part in body)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def note_arguments(run: Run, node: ast.AST, op: Op, bound: dict[str, Value]) -> None:
    """The same for the arguments of an operation that must be tensors."""
    if Nothing in map(type, bound.values()):
        for name, word in zip(op.params, op.types, strict=False):
            if word in ("tensor", "tensors"):
                value = bound.get(name)
                note_use(run, node, value, "an operation is given it")
                if isinstance(value, Nothing):
                    bound[name] = run.unknown("argument", name)


def as_if_given(run: Run, call: Call) -> Call:
    """A call in which something unknown stands for what is None: that it raises is told once."""
    if Nothing not in map(type, call.values):
        return call
    args = [run.unknown("argument") if isinstance(value, Nothing) else value for value in call.args]
    named = {
        name: run.unknown("argument", name) if isinstance(value, Nothing) else value
        for name, value in call.kwargs.items()
    }
    return Call(call.node, args, named, call.unsure)


CLOSURE = "the optimizer takes the loss from its closure"
"""How an optimizer that searches uses what its closure returns: as a number."""


def note_use(run: Run, node: ast.AST, value: Value | None, how: str) -> None:
    """Write down that a value is used as if it were something, in a way that raises for None."""
    if isinstance(value, Nothing):
        run.event("nothing-used", node, value, how=how)


def note_call_of_keys(run: Run, node: ast.AST, value: Value, name: str = "") -> None:
    """Write down that what `load_state_dict` returns is called, or asked for a method, as if it were the module."""
    if isinstance(value, Sequence) and value.names == KEYS and name not in _OF_TUPLES:
        run.event("keys-used", node, value, made=value.fields["made"])
