"""Which statements of a file make a name of it what it is: a file that is imported is run name by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.syntax.source import Source
from gradls.syntax.walk import walk

_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_CONSTANT = (
    *(ast.Constant, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.BoolOp, ast.Compare, ast.IfExp, ast.JoinedStr),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.FormattedValue),
)


class Outline(NamedTuple):
    """The statements of a module by number. `binds` are those that bind a name, `uses` those that may change what it
    stands for, `also` the names that a statement binds, `stars` the modules of which all names are imported, the last
    one first, and `public` the names that `__all__` lists, if it is there and literal."""

    binds: dict[str, list[int]]
    uses: dict[str, list[int]]
    also: dict[int, set[str]]
    stars: tuple[str, ...]
    public: tuple[str, ...] | None

    def behind(self, name: str) -> list[int]:
        """The numbers of the statements that make `name` what it is, in order; none if none binds it.

        A class or function is its definition. What was computed may have been changed since, by every statement that
        mentions it.
        """
        found: set[int] = set()
        todo, seen = [name], {name}
        while todo:
            current = todo.pop()
            binders = self.binds.get(current, [])
            for number in [*binders, *(self.uses.get(current, []) if binders else [])]:
                if number not in found:
                    found.add(number)
                    more = self.also.get(number, set()) - seen
                    seen |= more
                    todo += more
        return sorted(found)


def outline(source: Source) -> Outline:
    """The outline of a file."""
    return source.once(_outline, source.tree)


def _outline(tree: ast.Module) -> Outline:
    found = Outline({}, {}, {}, (), None)
    fixed: set[str] = set()
    stars: list[str] = []
    public: tuple[str, ...] | None = None
    used: list[tuple[int, set[str]]] = []
    for number, statement in enumerate(tree.body):
        bound = set(_bound(statement))
        for name in bound:
            found.binds.setdefault(name, []).append(number)
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            stars.append("." * statement.level + (statement.module or ""))
        if isinstance(statement, _DEFINES):
            continue
        if "__all__" in bound:
            public = _literal(statement)
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and (_is_device(value) or all(isinstance(node, _CONSTANT) for node in walk(value))):
            fixed |= bound
            continue
        found.also[number] = bound
        used.append((number, {node.id for node in walk(statement) if isinstance(node, ast.Name)}))
    defined = {name for name, numbers in found.binds.items() if not any(number in found.also for number in numbers)}
    for number, names in used:
        for name in names - defined - fixed:
            found.uses.setdefault(name, []).append(number)
    return found._replace(stars=tuple(reversed(stars)), public=public)


def names_of(source: Source) -> list[str]:
    """The names that `from module import *` gives, but for those that it has from other such imports."""
    found = outline(source)
    return list(found.public) if found.public is not None else [name for name in found.binds if name[:1] != "_"]


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds in its scope."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if alias.name != "*":
                yield alias.asname or alias.name
    else:
        for node in ast.iter_child_nodes(statement):
            if isinstance(node, ast.stmt):
                yield from _bound(node)
            else:
                yield from _bound_in(node)


def _bound_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _bound(child)
        else:
            yield from _bound_in(child)


def _is_device(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "device"


def _literal(statement: ast.stmt) -> tuple[str, ...] | None:
    """The names in a literal `__all__`."""
    value = getattr(statement, "value", None)
    if not isinstance(statement, ast.Assign) or not isinstance(value, (ast.List, ast.Tuple)):
        return None
    names = [element.value for element in value.elts if isinstance(element, ast.Constant)]
    return tuple(str(name) for name in names) if len(names) == len(value.elts) else None
