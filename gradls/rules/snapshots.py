"""What rules about snapshots have in common: something is kept on a branch of a training loop, and used after it."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradls.flow.facts import Event
from gradls.flow.paths import Round
from gradls.rules.scopes import mentions, names_in
from gradls.rules.training_order import rounds_of
from gradls.syntax.source import Source


def is_chosen(event: Event) -> bool:
    """Is it done on a branch within a loop, such as that of the best result so far?"""
    path = event.path
    return path is not None and not isinstance(path[1], Round) and bool(rounds_of(path))


def is_used_after(source: Source, target: ast.expr, of: Round) -> bool:
    """Is what a branch assigns to `target` in a round of a loop used after the loop, and not in it?"""
    around = [node for node in source.parents(target) if isinstance(node, (ast.For, ast.While, ast.AsyncFor))]
    around = [node for node in around if node is getattr(of.loop, "statement", None)] or around[-1:]
    if not around or _leaves(source, target, around[0]):
        return False
    within = {id(node) for node in ast.walk(around[0])}
    whole: ast.AST = source.tree
    if isinstance(target, ast.Name):
        whole = next((node for node in source.parents(target) if isinstance(node, ast.FunctionDef)), whole)
    if isinstance(target, ast.Name):
        mentioned: Sequence[ast.AST] = names_in(source, whole, target.id)
    else:
        mentioned = mentions(source, target.attr) if isinstance(target, ast.Attribute) else ()
    uses = [node for node in mentioned if _is_use(source, node, target)]
    # What is kept on an object may be used in another file.
    return (bool(uses) or isinstance(target, ast.Attribute)) and not any(id(node) in within for node in uses)


def _is_use(source: Source, node: ast.AST, target: ast.expr) -> bool:
    """Does an expression read what has the name of `target`, other than to ask whether there is anything?"""
    if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
        return False
    if isinstance(target, ast.Name):
        same = isinstance(node, ast.Name) and node.id == target.id
    else:
        same = isinstance(node, ast.Attribute) and isinstance(target, ast.Attribute) and node.attr == target.attr
    above = source.parent(node) if same else None
    return same and not (isinstance(above, ast.Compare) and isinstance(above.ops[0], (ast.Is, ast.IsNot)))


def _leaves(source: Source, target: ast.expr, loop: ast.AST) -> bool:
    """Does the branch of an assignment leave the loop?"""
    for node in source.parents(target):
        if node is loop:
            return False
        if isinstance(node, ast.If):
            return any(isinstance(part, (ast.Break, ast.Return, ast.Raise)) for part in ast.walk(node))
    return False
