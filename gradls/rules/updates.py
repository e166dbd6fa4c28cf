"""Updates by hand: statements that give a name what a step of gradient descent makes of it."""

from __future__ import annotations

import ast
from typing import NamedTuple

from gradls.flow.facts import Facts
from gradls.rules.scopes import scope_of
from gradls.syntax.walk import walk


class Update(NamedTuple):
    """`w = w - change`: the name, "-" or "+", and the change."""

    name: str
    operator: str
    change: ast.expr


def update_of(statement: ast.AST | None) -> Update | None:
    """What a statement such as `w = w - lr * w.grad` does; None if it reads no gradient of what it binds."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, value = statement.targets[0], statement.value
    if not isinstance(target, ast.Name) or not isinstance(value, ast.BinOp):
        return None
    if not isinstance(value.op, (ast.Add, ast.Sub)) or not _is(value.left, target.id):
        return None
    reads = [part for part in ast.walk(value.right) if isinstance(part, ast.Name) and part.id == target.id]
    of_grad = [part for part in ast.walk(value.right) if isinstance(part, ast.Attribute) and part.attr == "grad"]
    if not reads or not all(any(part.value is read for part in of_grad) for read in reads):
        return None
    return Update(target.id, "-" if isinstance(value.op, ast.Sub) else "+", value.right)


def is_cleared(facts: Facts, statement: ast.stmt) -> bool:
    """Does the function around an update also clear a gradient?"""
    return facts.source_of(statement).once(_clears, scope_of(facts, statement))


def _clears(scope: ast.AST) -> bool:
    return any(
        part.attr == "zero_grad"
        or (part.attr == "zero_" and isinstance(part.value, ast.Attribute) and part.value.attr == "grad")
        or (part.attr == "grad" and isinstance(part.ctx, ast.Store))
        for part in walk(scope)
        if isinstance(part, ast.Attribute)
    )


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
