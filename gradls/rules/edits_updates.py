"""Edits of updates by hand. Imports LibCST: only the builders in `edits` import this, when they are called."""

from __future__ import annotations

import ast

from gradls.rules.edits_snippet import import_of_torch, indentation_unit, newline_of
from gradls.rules.edits_statements import Statement, changed
from gradls.rules.finding import Place, TextEdit
from gradls.rules.updates import Update, update_of


def update_in_place(place: Place, torch_name: str, clear: bool) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None:
        return []
    source, block, at = place.source, found.block, found.position
    first = last = at
    while first and update_of(block[first - 1]):
        first -= 1
    while last + 1 < len(block) and update_of(block[last + 1]):
        last += 1
    rows = [Statement(source, block[number], block) for number in range(first, last + 1)]
    updates = [update for row in rows if (update := update_of(row.node))]
    if len(updates) != len(rows) or not all(row.owns_lines for row in rows):
        return []
    inside = is_in_block_without_gradients(place, found.node)
    indent, newline = found.indent, newline_of(source)
    inner = indent if inside else indent + indentation_unit(source)
    lines = [] if inside else [f"{indent}with {torch_name}.no_grad():"]
    behind = [source.text[row.end : row.line_end].rstrip() for row in rows]
    # As they are written, which Python takes for the same in more than one form.
    names = [source.segment(row.node.targets[0]) for row in rows if isinstance(row.node, ast.Assign)]
    written = zip(names, updates, behind, strict=True)
    lines += [inner + _in_place(place, name, update) + comment for name, update, comment in written]
    if clear:
        lines += [f"{indent}{name}.grad = None" for name in names]
    start, end = rows[0].line_start, rows[-1].end + len(behind[-1])
    if any("#" in source.text[row.start : row.end] for row in rows):
        return []  # comments would have to move
    if source.text[start:end].count("#") != sum(comment.count("#") for comment in behind):
        return []  # the same for those between
    made = changed(source, start, end, newline.join(lines))
    return [*([] if inside else import_of_torch(place, torch_name)), *made] if made else []


def set_in_groups(place: Place, name: str) -> list[TextEdit]:
    found = Statement.holding(place)
    statement = found.node if found else None
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if found is None or not isinstance(statement, ast.Assign) or not isinstance(target, ast.Attribute):
        return []
    if not found.owns_lines or "#" in found.text:
        return []
    source, inner = place.source, found.indent + indentation_unit(place.source)
    lines = f"for group in {source.segment(target.value)}.param_groups:{newline_of(source)}"
    return changed(source, found.start, found.end, f'{lines}{inner}group["{name}"] = {source.segment(statement.value)}')


def _in_place(place: Place, name: str, update: Update) -> str:
    return f"{name} {update.operator}= {place.source.segment(update.change)}"


def is_in_block_without_gradients(place: Place, statement: ast.AST) -> bool:
    return any(
        isinstance(outer, ast.With) and any("no_grad" in ast.unparse(item.context_expr) for item in outer.items)
        for outer in place.source.parents(statement)
    )
