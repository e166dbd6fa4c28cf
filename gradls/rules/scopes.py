"""What functions and files mention, by name: looked for once, and after an edit only in what is new."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.syntax.source import Source
from gradls.syntax.walk import walk

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def scope_of(facts: Facts, node: ast.AST) -> ast.AST:
    """The function that a node stands in, or else the module."""
    return facts.function(node) or facts.source_of(node).tree


def names_in(source: Source, scope: ast.AST, name: str) -> list[ast.Name]:
    """Where a function, or all of a file, mentions a name: to read it or to bind it."""
    return source.index(_named).get(name) if scope is source.tree else source.once(_by_name, scope).get(name, [])


def assignments_in(source: Source, scope: ast.AST, name: str) -> list[ast.Assign]:
    """The assignments to a name in a function, or a file."""
    above = (source.parent(one) for one in names_in(source, scope, name) if isinstance(one.ctx, ast.Store))
    return list(dict.fromkeys(one for one in above if isinstance(one, ast.Assign)))


def bound_once(facts: Facts, name: ast.Name) -> ast.expr | None:
    """What the only assignment to a name in its function, or its file, gives it; None if there are none or several."""
    bound = assignments_in(facts.source_of(name), scope_of(facts, name), name.id)
    return bound[0].value if len(bound) == 1 else None


def is_run_with(source: Source, node: ast.AST, scope: ast.AST) -> bool:
    """Does a node of a function, or of a module, stand in no function or class of its own there?"""
    above = source.parent(node)
    while above is not None and above is not scope and not isinstance(above, SCOPES):
        above = source.parent(above)
    return above is scope


def mentions(source: Source, name: str) -> list[ast.Name | ast.Attribute]:
    """Where a file mentions something of this name, by itself or as an attribute."""
    return source.index(_mentioned).get(name)


def is_looked_up(source: Source, key: str) -> bool:
    """Does a file take a string for an index, or as the first argument of a method?"""
    return key in source.index(_looked_up)


def _named(node: ast.AST) -> Iterator[tuple[str, ast.Name]]:
    if isinstance(node, ast.Name):
        yield node.id, node


def _by_name(scope: ast.AST) -> dict[str, list[ast.Name]]:
    found: dict[str, list[ast.Name]] = {}
    for node in walk(scope):
        if isinstance(node, ast.Name):
            found.setdefault(node.id, []).append(node)
    return found


def _mentioned(node: ast.AST) -> Iterator[tuple[str, ast.Name | ast.Attribute]]:
    if isinstance(node, ast.Name):
        yield node.id, node
    elif isinstance(node, ast.Attribute):
        yield node.attr, node


def _looked_up(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    key: ast.AST | None = None
    if isinstance(node, ast.Subscript):
        key = node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        key = node.args[0]
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield key.value, node
