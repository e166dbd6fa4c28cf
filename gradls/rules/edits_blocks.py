"""Statements that move, or get a block of their own. Imports LibCST: only the builders in `edits` import this."""

from __future__ import annotations

import ast

from gradls.rules.edits_snippet import (
    Snippet,
    import_of_copy,
    import_of_torch,
    indentation_of,
    indentation_unit,
    line_starts,
    newline_of,
    text_edit,
)
from gradls.rules.edits_statements import Statement, _exactly, changed, indented, insert_after, start_with_comments
from gradls.rules.edits_updates import is_in_block_without_gradients
from gradls.rules.finding import Place, TextEdit
from gradls.syntax.source import Source


def move_statement(place: Place, other: Place, behind: bool) -> list[TextEdit]:
    one, target = Statement.holding(place), Statement.holding(other)
    if one is None or target is None or one.block is not target.block or one.node is target.node:
        return []
    if not one.owns_lines or not target.owns_lines:
        return []
    source, text = place.source, place.source.text
    start, end = start_with_comments(one), one.line_end
    moved, at = text[start:end], target.line_end if behind else start_with_comments(target)
    if at < start:
        start, pieces = at, [moved, text[at:start]]
    elif at > end:
        end, pieces = at, [text[end:at], moved]
    else:
        return []
    if not text[start:end].endswith(("\n", "\r")):  # the end of a file without a last line end
        pieces = [pieces[0].rstrip("\r\n") + newline_of(source), pieces[1].rstrip("\r\n")]
    return changed(source, start, end, "".join(pieces))


def move_out(place: Place, block: Place) -> list[TextEdit]:
    found, outer = Statement.holding(place), Statement.holding(block)
    if found is None or outer is None or not found.owns_lines or not outer.starts_line:
        return []
    body = getattr(outer.node, "body", None)
    if body is not found.block or not 0 < found.position == len(body) - 1 or found.end_line != outer.end_line:
        return []
    start, end = found.line_start, found.line_end
    lines = indented(place.source, place.source.text[start:end], outer.indent)
    if not place.source.text[start:end].endswith(("\n", "\r")):
        lines = lines.rstrip("\r\n")
    return changed(place.source, start, end, lines) if lines else []


def open_block(place: Place, header: str) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None or not found.owns_lines or found.position + 1 == len(found.block):
        return []
    source = place.source
    rest = [Statement(source, item, found.block) for item in found.block[found.position + 1 :]]
    if not rest[0].starts_line or not rest[-1].ends_line or rest[0].line == found.end_line:
        return []
    start, end = found.line_end, rest[-1].line_end
    blank = source.text[start:end]
    blank = blank[: len(blank) - len(blank.lstrip("\r\n"))]  # whole lines
    start += len(blank)
    lines = indented(source, source.text[start:end], found.indent + indentation_unit(source))
    if not lines:
        return []
    if not source.text[start:end].endswith(("\n", "\r")):
        lines = lines.rstrip("\r\n")
    tail = source.text[found.end : found.line_end]  # a comment, perhaps
    return changed(source, found.start, end, f"{header}{tail}{blank}{lines}")


def decorate(place: Place, decorator: str, torch_name: str) -> list[TextEdit]:
    source = place.source
    line, column, *_ = source.span(place.node)
    at = line_starts(source)[line - 1]
    if source.text[at : at + column - 1].strip():
        return []  # it shares its line with a header
    made = _exactly(source, at, at, f"{indentation_of(source, line)}@{decorator}{newline_of(source)}")
    return [*(import_of_torch(place, torch_name) if torch_name else []), *made] if made else []


def assign_in_place(place: Place, cleared: bool, bare: bool, torch_name: str) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None or not isinstance(found.node, ast.Assign) or len(found.node.targets) != 1:
        return []
    source, snippet = place.source, Snippet.holding(place.source, found.node)
    if snippet is None or not found.owns_lines:
        return []
    name, indent, newline = source.segment(found.node.targets[0]), found.indent, newline_of(source)
    lines = [_written(source, name, found.node.value)]
    cleared_too = [f"{name}.grad = None"] if cleared else []
    if bare or is_in_block_without_gradients(place, found.node):
        made = snippet.become(lines[0])
        return [*made, *insert_after(place, cleared_too[0])] if made and cleared else made
    lines = [f"with {torch_name}.no_grad():", *lines, *cleared_too]
    made = snippet.become(f"{newline}{indent}{indentation_unit(source)}".join(lines))
    return [*import_of_torch(place, torch_name), *made] if made else []


def replace_statement(place: Place, new: str) -> list[TextEdit]:
    found, snippet = Statement.holding(place), Snippet.holding(place.source, place.node)
    if found is None or snippet is None or snippet.before or snippet.after:
        return []
    return snippet.become(new)


_OPERATORS = {ast.Add: "+=", ast.Sub: "-=", ast.Mult: "*=", ast.Div: "/="}


def _written(source: Source, name: str, value: ast.expr) -> str:
    """`w = w - g` as `w -= g`, and any other value as `w.copy_(value)`."""
    if isinstance(value, ast.BinOp) and type(value.op) in _OPERATORS and source.segment(value.left) == name:
        right = source.segment(value.right)
        right = f"({right})" if "\n" in right or "\r" in right else right
        return f"{name} {_OPERATORS[type(value.op)]} {right}"
    return f"{name}.copy_({source.segment(value)})"


def copy_expression(place: Place) -> list[TextEdit]:
    source, snippet = place.source, Snippet.holding(place.source, place.node)
    if snippet is None:
        return []
    starts, span = line_starts(source), source.span(place.node)
    start, end = (starts[line - 1] + column - 1 for line, column in (span[:2], span[2:]))
    made = [text_edit(source, start, start, "copy.deepcopy("), text_edit(source, end, end, ")")]
    imported = import_of_copy(place)
    return [] if imported is None else [*imported, *made]
