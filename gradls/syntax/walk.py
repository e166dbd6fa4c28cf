"""Going through a tree, in a third of the time that `ast.walk` takes."""

from __future__ import annotations

import ast

_NO_NODES = frozenset((
    "id", "attr", "kind", "type_comment", "ctx", "op", "ops", "level", "module", "conversion", "is_async", "simple",
    "asname", "arg", "type_ignores", "tag", "rest",
))  # fmt: skip
"""Fields that hold no nodes, or only those that say nothing about a place: contexts and operators."""
_MIXED = frozenset(("keys", "kw_defaults", "names", "kwd_attrs"))
"""Fields with lists in which something else may stand beside nodes."""
_fields: dict[type[ast.AST], tuple[str, ...]] = {}


def walk(root: ast.AST) -> list[ast.AST]:
    """`root` and the nodes below it, level by level, but for contexts and operators."""
    found = [root]
    for node in found:
        kind = type(node)
        names = _fields.get(kind)
        if names is None:
            names = _fields[kind] = tuple(name for name in kind._fields if name not in _NO_NODES)
        for name in names:
            child = getattr(node, name, None)
            if type(child) is list:
                if name in _MIXED:
                    found += [part for part in child if isinstance(part, ast.AST)]
                else:
                    found += child
            elif isinstance(child, ast.AST):
                found.append(child)
    return found
