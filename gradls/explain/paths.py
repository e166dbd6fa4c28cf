"""The expressions on the gradient path of a tensor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.explain.tensors import states
from gradls.flow.facts import Facts
from gradls.flow.reach import walk


class OnPath(NamedTuple):
    """An expression that gradient flows through; `writes` if a name gets its value there."""

    node: ast.AST
    writes: bool


def path(facts: Facts, node: ast.expr) -> Iterator[OnPath]:
    """The expressions of the file from the leaves to `node`, which is a tensor; none if no gradient flows there."""
    known = states(facts)
    state = known.get(node)
    if state is None:
        return
    roots = [root for root, requires_grad, _ in state.seen if requires_grad is not False]
    on_path = {step for root in roots for step in walk(root, follow="maybe")}
    if not on_path:
        return
    for other, seen in known.items():
        if not isinstance(other, (ast.Name, ast.Attribute, ast.Call, ast.BinOp, ast.UnaryOp, ast.Subscript)):
            continue
        if any(step in on_path for step, requires_grad, _ in seen.seen if requires_grad is not False):
            stored = isinstance(getattr(other, "ctx", None), ast.Store)
            if stored or isinstance(other, (ast.Name, ast.Attribute)):
                yield OnPath(other, stored)
