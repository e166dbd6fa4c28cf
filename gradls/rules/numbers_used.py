"""What a number that was read out of a tensor is used for: would a tensor in its place do?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.autograd.calls import fits
from gradls.autograd.ops import Op, find_op
from gradls.flow.facts import Facts
from gradls.flow.operations import kind
from gradls.flow.values import Bound, Lib, Tensor
from gradls.rules.scopes import names_in, scope_of
from gradls.syntax.walk import walk

_SIZES = frozenset((
    "range", "zeros", "ones", "empty", "full", "rand", "randn", "randint", "arange", "eye", "view", "reshape", "expand",
    "repeat", "islice", "split", "chunk", "topk", "narrow", "roll", "crop", "sample", "format", "str",
))  # fmt: skip
"""Functions and methods that take a number for a size, a count or a place."""


def needs_number(facts: Facts, node: ast.expr) -> bool:
    """Is an expression, or a name that is bound to it in its function, an index, a size or the like, or does a function
    of PyTorch get it that takes no tensor there, or gives no gradient to one?"""
    return any(_counts(facts, use) or not _takes_tensor(facts, use) for use in _uses(facts, node))


def _uses(facts: Facts, node: ast.expr) -> Iterator[ast.expr]:
    """The expression, and each place where a name is read that it is bound to."""
    yield node
    statement = facts.statement(node)
    for name in sorted(_bound_to(statement, node)):
        mentions = names_in(facts.source_of(node), scope_of(facts, node), name)
        yield from (part for part in mentions if isinstance(part.ctx, ast.Load))


def _bound_to(statement: ast.stmt | None, node: ast.expr) -> set[str]:
    """The names that a statement binds to an expression of it, in a tuple or by itself."""
    if isinstance(statement, ast.AugAssign):
        return {statement.target.id} if isinstance(statement.target, ast.Name) else set()
    if not isinstance(statement, ast.Assign):
        return set()
    found = set()
    for target in statement.targets:
        pairs = [(target, statement.value)]
        if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
            pairs = list(zip(target.elts, statement.value.elts, strict=False))
        found |= {one.id for one, value in pairs if isinstance(one, ast.Name) and any(p is node for p in walk(value))}
    return found


def _counts(facts: Facts, node: ast.expr) -> bool:
    """Does it go into an index, or into a call that takes sizes?"""
    inner: ast.AST = node
    for outer in facts.parents(node):
        if isinstance(outer, ast.stmt) or (isinstance(outer, ast.Call) and inner is outer.func):
            return False
        if isinstance(outer, ast.Slice) or (isinstance(outer, ast.Subscript) and inner is outer.slice):
            return True
        if isinstance(outer, ast.Call):
            name = outer.func.attr if isinstance(outer.func, ast.Attribute) else getattr(outer.func, "id", "")
            return name in _SIZES
        inner = outer
    return False


def _takes_tensor(facts: Facts, node: ast.expr) -> bool:
    """Does a function of PyTorch that is given the expression itself take a tensor there, and give it a gradient?"""
    call = facts.parent(node)
    name: str | None = None
    if isinstance(call, ast.keyword):
        name, call = call.arg, facts.parent(call)
    if not isinstance(call, ast.Call) or (name is None and not any(argument is node for argument in call.args)):
        return True
    for function, given, _ in facts.evaluations(call):
        op, receiver = _op(function)
        if op is None or given.unsure or op.variadic:
            continue
        kinds = [kind(value) for value in (*receiver, *given.args)]
        keywords = {key: kind(value) for key, value in given.kwargs.items()}
        if name is None:
            index = len(receiver) + call.args.index(node)
            if index >= len(kinds) or index >= len(op.params):
                continue
            kinds[index], name = "tensor", op.params[index]
        else:
            keywords[name] = "tensor"
        choices = [each for each in op.overloads or (op,) if fits(each, kinds, keywords, False) != "no"]
        if not op.factory and not any(name in each.differentiable - each.raises_when for each in choices):
            return False
    return True


def _op(function: object) -> tuple[Op | None, list[Tensor]]:
    if isinstance(function, Lib):
        return find_op(function.path), []
    if isinstance(function, Bound) and isinstance(function.receiver, Tensor):
        return find_op(f"torch.Tensor.{function.name}"), [function.receiver]
    return None, []
