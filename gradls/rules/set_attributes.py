"""Attributes that other methods set than those that made them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event
from gradls.flow.graph import At
from gradls.syntax.walk import walk


def around(at: At, kind: type[ast.AST]) -> ast.AST | None:
    """The class or function, whichever `kind` is, that a place is in."""
    return next((node for node in at.source.parents(at.node) if isinstance(node, kind)), None)


def is_set_again(event: Event) -> bool:
    """Does another method than the one of this `attribute-set` assign to the same attribute, or write into it, or does
    the file outside of the class?"""
    source, method = event.at.source, around(event.at, ast.FunctionDef)
    whole = source.parent(method) if method is not None else None
    if whole is None:
        return True
    within = (part for part in ast.iter_child_nodes(whole) if part is not method)
    beside = (part for part in ast.iter_child_nodes(source.tree) if part is not whole)
    return any(event.name in source.once(_set_in, part) for part in within) or any(
        event.name in source.once(_set_on_others_in, part) for part in beside
    )


def _set_in(part: ast.AST) -> frozenset[str]:
    """The attributes that are assigned to, or written into, in a part of the text."""
    return frozenset(target.attr for target in _targets(part))


def _set_on_others_in(part: ast.AST) -> frozenset[str]:
    """The same of other objects than `self`."""
    return frozenset(
        target.attr
        for target in _targets(part)
        if not (isinstance(target.value, ast.Name) and target.value.id == "self")
    )


def _targets(part: ast.AST) -> Iterator[ast.Attribute]:
    for node in walk(part):
        target: ast.AST | None = None
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            target = node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            target = node.func.value if name.endswith("_") and not name.endswith("__") else None
        while isinstance(target, ast.Subscript) or (isinstance(target, ast.Attribute) and target.attr == "data"):
            target = target.value
        if isinstance(target, ast.Attribute):
            yield target
