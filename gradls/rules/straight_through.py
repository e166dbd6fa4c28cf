"""Fixes for operations without a gradient of their own: the values stay, and the gradient of the argument passes."""

from __future__ import annotations

import ast

from gradls.flow.facts import Facts
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.syntax.walk import walk

_LONGEST = 60


def straight_through(facts: Facts, whole: ast.expr, argument: ast.expr | None) -> Fix | None:
    """`f(x)` becomes `x + (f(x) - x).detach()`. None where `x`, which is written three times then, is a computation."""
    if argument is None or not _is_simple(argument):
        return None
    text, value = " ".join(facts.segment(argument).split()), " ".join(facts.segment(whole).split())
    if not text or len(text) > _LONGEST:
        return None
    if not isinstance(argument, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
        taken = f"({text})"
    else:
        taken = text
    new = f"{text} + ({value} - {taken}).detach()"
    build = edits.replace_expression(Place(facts.source_of(whole), whole), new)
    return Fix("Pass the gradient straight through", Safety.SUGGESTED, build)


def argument_of(facts: Facts, call: ast.AST) -> ast.expr | None:
    """The tensor that `x.f()` or `torch.f(x)` is of."""
    if not isinstance(call, ast.Call):
        return None
    if isinstance(call.func, ast.Attribute) and facts.is_tensor(call.func.value):
        return call.func.value
    first = call.args[0] if call.args else None
    return first if first is not None and not isinstance(first, ast.Starred) else None


def cancelled(facts: Facts, whole: ast.AST) -> Fix | None:
    """`hard - soft + soft` becomes `(hard - soft).detach() + soft`."""
    if not isinstance(whole, ast.BinOp) or not isinstance(whole.op, ast.Add):
        return None
    for one, other, swapped in ((whole.left, whole.right, False), (whole.right, whole.left, True)):
        if not isinstance(one, ast.BinOp) or not isinstance(one.op, ast.Sub) or not _is_simple(other):
            continue
        if ast.dump(one.right) == ast.dump(other):
            constant, rest = f"({facts.segment(one)}).detach()", facts.segment(other)
            new = f"{rest} + {constant}" if swapped else f"{constant} + {rest}"
            build = edits.replace_expression(Place(facts.source_of(whole), whole), new)
            return Fix("Detach the difference", Safety.SUGGESTED, build)
    return None


def _is_simple(node: ast.expr) -> bool:
    """Does it cost nothing, and change nothing, to compute it again?"""
    heavy = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Starred, ast.Lambda, ast.ListComp)
    return not any(isinstance(part, heavy) for part in walk(node))
