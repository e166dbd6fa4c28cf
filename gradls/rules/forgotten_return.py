"""Methods `forward` that compute something and return nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Facts
from gradls.flow.hierarchy import is_module, is_module_class
from gradls.flow.values import Class, Instance, Lib, Unknown
from gradls.syntax.walk import walk


class Dropped(NamedTuple):
    """The last `statement` of a `forward` that returns nothing: what it computes is lost when the method ends."""

    forward: ast.FunctionDef
    statement: ast.stmt


def dropped_results(facts: Facts) -> Iterator[Dropped]:
    """The methods `forward` of the file's modules whose last statement computes a tensor for nobody."""
    for event in facts.of("class"):
        cls = event.value
        if not isinstance(cls, Class) or cls.source is not facts.source or is_module_class(cls) is not True:
            continue
        for method in cls.node.body:
            if (
                isinstance(method, ast.FunctionDef)
                and method.name == "forward"
                and not facts.source.once(_returns, method)
            ):
                last = method.body[-1]
                while isinstance(last, ast.With):
                    last = last.body[-1]
                if _is_for_nobody(facts, method, last):
                    yield Dropped(method, last)


def _returns(function: ast.AST) -> bool:
    return any(
        isinstance(node, (ast.Yield, ast.YieldFrom)) or (isinstance(node, ast.Return) and node.value is not None)
        for node in walk(function)
    )


def _is_for_nobody(facts: Facts, function: ast.FunctionDef, last: ast.stmt) -> bool:
    """Does the last statement of a function compute a tensor, and do nothing else?"""
    own = {node.arg for node in walk(function.args) if isinstance(node, ast.arg)}
    for node in walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            return False
    if isinstance(last, ast.Assign):
        return all(_is_name(target) for target in last.targets) and _gives_tensor(facts, last.value)
    if not isinstance(last, ast.Expr):
        return False
    value = last.value
    if isinstance(value, ast.Call):
        return _is_of_layer(facts, value)
    # A name or an operation as a statement does nothing at all.
    parts = list(walk(value))
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return bool(own.intersection(names)) and not any(isinstance(part, (ast.Call, ast.NamedExpr)) for part in parts)


def _is_name(target: ast.expr) -> bool:
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(_is_name(part) for part in target.elts)
    return isinstance(target, ast.Name)


def _gives_tensor(facts: Facts, value: ast.expr) -> bool:
    """Is it a tensor, or what an unknown attribute of the module gives that is called as a layer is?"""
    if facts.is_tensor(value):
        return True
    records = facts.evaluations(value) if isinstance(value, ast.Call) and len(value.args) == 1 else []
    return any(isinstance(called, Unknown) and isinstance(given, Unknown) for called, _, given in records) and (
        isinstance(value, ast.Call) and _is_of_self(value.func)
    )


def _is_of_self(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "self"


def _is_of_layer(facts: Facts, call: ast.Call) -> bool:
    """Is a layer of the library called, which keeps nothing of what it gives?"""
    records = facts.evaluations(call)
    return bool(records) and all(
        isinstance(called, Instance) and isinstance(called.cls, Lib) and is_module(called) is True
        for called, _, _ in records
    )
