"""Edits that move statements to where they run again. Imports LibCST: only the builders in `edits` import this."""

from __future__ import annotations

import ast

from gradls.rules.edits_snippet import indentation_unit, newline_of, text_edit
from gradls.rules.edits_statements import Statement, delete_statement, indented, parses_with
from gradls.rules.finding import Place, TextEdit
from gradls.syntax.walk import walk


def move_into(place: Place, block: Place) -> list[TextEdit]:
    source, first, outer = place.source, Statement.holding(place), block.node
    body = getattr(outer, "body", None)
    if first is None or not isinstance(body, list) or not body:
        return []
    until = next((n for n, item in enumerate(first.block) if any(part is outer for part in walk(item))), None)
    if until is None or until <= first.position:
        return []
    moved = _with_dependents(first.block[first.position : until])
    names = {name for item in moved for name in _bound(item)}
    header = [part for field in ("iter", "test", "args") for part in walk_of(getattr(outer, field, None))]
    between = [outer_part for item in first.block[until : until + 1] for outer_part in _headers(item, outer)]
    if not moved or _mentions([*header, *between], names) or _binds_any(body, names):
        return []
    if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)) and _mentions(first.block[until + 1 :], names):
        return []
    rows = [Statement(source, item, first.block) for item in moved]
    into = Statement(source, body[0], body)
    if not all(row.owns_lines for row in rows) or not into.starts_line:
        return []
    unit = into.indent or indentation_unit(source)
    lines = "".join(
        indented(source, source.text[row.line_start : row.line_end].rstrip("\r\n") + newline_of(source), unit)
        for row in rows
    )
    taken = [edit for item in moved for edit in delete_statement(Place(source, item))]
    if not lines or not taken:
        return []
    made = [*taken, text_edit(source, into.line_start, into.line_start, lines)]
    return made if parses_with(source, made) else []


def walk_of(part: object) -> list[ast.AST]:
    return walk(part) if isinstance(part, ast.AST) else []


def _headers(item: ast.stmt, outer: ast.AST) -> list[ast.AST]:
    """What is evaluated of a statement around `outer` before that is entered: the headers of loops and the like."""
    found: list[ast.AST] = []
    for part in walk(item):
        if part is not outer and any(inner is outer for inner in walk(part)):
            for field in ("iter", "test", "items", "args"):
                child = getattr(part, field, None)
                for one in child if isinstance(child, list) else [child]:
                    found += walk_of(one)
    return found


def _with_dependents(block: list[ast.stmt]) -> list[ast.stmt]:
    """The first statement and those that use what it binds; none if one of these does more than to bind names."""
    moved, names = [block[0]], _bound(block[0])
    for item in block[1:]:
        if _mentions([item], names):
            if not isinstance(item, ast.Assign) or not all(isinstance(target, ast.Name) for target in item.targets):
                return []
            moved.append(item)
            names |= _bound(item)
    return moved


def _bound(item: ast.stmt) -> set[str]:
    return {part.id for part in walk(item) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}


def _mentions(parts: list[ast.AST] | list[ast.stmt], names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for part in parts for node in walk(part))


def _binds_any(body: list[ast.stmt], names: set[str]) -> bool:
    return any(not names.isdisjoint(_bound(item)) for item in body)


def make_property(place: Place) -> list[TextEdit]:
    source, found = place.source, Statement.holding(place)
    statement = found.node if found else None
    if found is None or not isinstance(statement, ast.Assign) or not found.owns_lines:
        return []
    target = statement.targets[0]
    method = next((outer for outer in source.parents(statement) if isinstance(outer, ast.FunctionDef)), None)
    cls = source.parent(method) if method is not None else None
    if not isinstance(target, ast.Attribute) or method is None or not isinstance(cls, ast.ClassDef):
        return []
    others = [
        part
        for part in walk(source.tree)
        if isinstance(part, ast.Attribute) and part.attr == target.attr and not isinstance(part.ctx, ast.Load)
    ]
    taken = any(isinstance(item, ast.FunctionDef) and item.name == target.attr for item in cls.body)
    early = [part for part in walk(method) if isinstance(part, ast.Attribute) and part.attr == target.attr]
    if others != [target] or taken or len(early) > 1:
        return []
    outer, newline, unit = Statement(source, method, cls.body), newline_of(source), indentation_unit(source)
    own = method.args.args[0].arg
    behind = source.text[found.end : found.line_end].rstrip()
    lines = [
        "",
        f"{outer.indent}@property",
        f"{outer.indent}def {target.attr}({own}):",
        f"{outer.indent}{unit}return {source.segment(statement.value)}{behind}",
    ]
    if "\n" in source.segment(statement.value) or not source.text[: outer.line_end].endswith(("\n", "\r")):
        return []
    new = text_edit(source, outer.line_end, outer.line_end, "".join(line + newline for line in lines))
    made = [*delete_statement(place), new]
    return made if len(made) > 1 and parses_with(source, made) else []
