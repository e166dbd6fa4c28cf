"""Cuts that a program makes or leaves out, as a value says: `h = h.detach() if freeze else h`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.graph import Cut
from gradls.syntax.walk import walk

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def is_chosen(facts: Facts, cut: Cut) -> bool:
    """Does the program ask a value whether it makes this cut, and do the same without it otherwise?

    It does so if the context manager is the answer, or if one of two branches has nothing but the cut.
    """
    node = cut.at.node
    return (cut.kind == "no_grad" and _is_chosen_manager(facts, node)) or _is_one_of_two(facts, node)


def _is_chosen_manager(facts: Facts, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.IfExp) or (isinstance(node, ast.Name) and _stands_for_several(facts, node))
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    if any(not isinstance(value, ast.Constant) for value in given):
        return True
    return isinstance(node.func, ast.IfExp) or (
        isinstance(node.func, ast.Name) and _stands_for_several(facts, node.func)
    )


def _stands_for_several(facts: Facts, name: ast.Name) -> bool:
    """Is a variable of a function its argument, or bound to one thing or another?"""
    function = next((part for part in facts.parents(name) if isinstance(part, _FUNCTIONS)), None)
    if function is None:
        return False
    bound: list[ast.expr] = []
    for part in walk(function):
        if isinstance(part, ast.arg) and part.arg == name.id:
            return True
        if isinstance(part, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name.id for to in part.targets):
            bound.append(part.value)
    return len(bound) > 1 or any(isinstance(value, ast.IfExp) for value in bound)


def _is_one_of_two(facts: Facts, node: ast.AST) -> bool:
    inner = node
    for outer in facts.parents(node):
        if isinstance(outer, ast.IfExp) and inner is not outer.test:
            other_way = outer.orelse if inner is outer.body else outer.body
            if not isinstance(other_way, ast.Constant):
                return True
        if isinstance(outer, ast.If) and isinstance(inner, ast.stmt):
            arms = (outer.body, outer.orelse)
            own, other = arms if any(part is inner for part in outer.body) else arms[::-1]
            if not isinstance(outer.test, ast.Constant) and len(own) == 1 and _same_results(inner, other):
                return True
        if isinstance(outer, _FUNCTIONS):
            return False
        inner = outer
    return False


def _same_results(statement: ast.stmt, other: list[ast.stmt]) -> bool:
    """Do the other statements give values to the same names, or were these given before, as in `h = h.detach()`?"""
    names = set(_assigned(statement))
    if other:
        return bool(names) and names <= {name for part in other for name in _assigned(part)}
    read = {part.id for part in walk(statement) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    return len(names) == 1 and names <= read and isinstance(statement, ast.Assign)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    for part in walk(statement):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
