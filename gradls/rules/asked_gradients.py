"""What the backward of a custom Function asks `ctx.needs_input_grad` before it computes a gradient."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.values import Function


class Asked(NamedTuple):
    """A gradient that is computed only if another input needs one."""

    test: ast.expr
    wanted: int
    """Which input the gradient is returned for."""
    asked: int
    """Which input is asked about."""


def asked_of_others(backward: Function) -> Iterator[Asked]:
    """The gradients in a backward that depend on whether another input than theirs needs a gradient."""
    node = backward.node
    returns = [part for part in ast.walk(node) if isinstance(part, ast.Return)]
    if not isinstance(node, ast.FunctionDef) or len(returns) != 1 or not isinstance(returns[0].value, ast.Tuple):
        return
    returned = [part.id if isinstance(part, ast.Name) else None for part in returns[0].value.elts]
    bound = [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
    for statement in node.body:
        asked = _input_asked(statement.test) if isinstance(statement, ast.If) and not statement.orelse else None
        if asked is None or not isinstance(statement, ast.If):
            continue
        names = {
            target.id
            for part in statement.body
            if isinstance(part, ast.Assign)
            for target in part.targets
            if isinstance(target, ast.Name)
        }
        for name in names & set(returned):
            # Once it is None, and once it is computed.
            if returned.count(name) == 1 and bound.count(name) == 2 and returned.index(name) != asked:
                yield Asked(statement.test, returned.index(name), asked)


def _input_asked(test: ast.expr) -> int | None:
    """The number in `ctx.needs_input_grad[1]`."""
    if (
        isinstance(test, ast.Subscript)
        and isinstance(test.value, ast.Attribute)
        and test.value.attr == "needs_input_grad"
        and isinstance(test.slice, ast.Constant)
        and type(test.slice.value) is int
    ):
        return test.slice.value
    return None
