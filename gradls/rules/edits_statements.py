"""Edits of whole statements. Imports LibCST: only the builders in `edits` import this, when they are called."""

from __future__ import annotations

import ast

import libcst as cst

from gradls.rules.edits_snippet import (
    comments,
    first_line,
    import_of_torch,
    indentation_of,
    indentation_unit,
    line_starts,
    newline_of,
    parses,
    path_to,
    smallest_edit,
    text_edit,
)
from gradls.rules.finding import Place, TextEdit
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines


class Statement:
    """A statement among those of its block, with offsets in the text of the file."""

    def __init__(self, source: Source, statement: ast.stmt, block: list[ast.stmt]) -> None:
        self.source, self.node, self.block = source, statement, block
        starts = line_starts(source)
        span = source.span(statement)
        self.line = first_line(source, statement)
        self.end_line = span.end_line
        self.line_start = starts[self.line - 1]
        self.line_end = starts[span.end_line]
        decorated = self.line != span.line
        self.start = self.line_start + (len(indentation_of(source, self.line)) if decorated else span.column - 1)
        self.end = starts[span.end_line - 1] + span.end_column - 1
        self.indent = indentation_of(source, self.line)

    @classmethod
    def holding(cls, place: Place) -> Statement | None:
        """The smallest statement around the node; None where an edit of it would not be one of a block's items."""
        path = path_to(place.source.tree, place.node)
        at = next((i for i in range(len(path) - 1, 0, -1) if isinstance(path[i], ast.stmt)), 0)
        statement = path[at] if at else None
        if not isinstance(statement, ast.stmt):
            return None
        for _, value in ast.iter_fields(path[at - 1]):
            if isinstance(value, list) and any(item is statement for item in value):
                found = cls(place.source, statement, value)
                return None if found.text.startswith("elif") else found
        return None

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def position(self) -> int:
        return next(i for i, item in enumerate(self.block) if item is self.node)

    @property
    def starts_line(self) -> bool:
        return not self.source.text[self.line_start : self.start].strip()

    @property
    def ends_line(self) -> bool:
        rest = self.source.text[self.end : self.line_end].strip()
        return not rest or rest.startswith("#")

    @property
    def owns_lines(self) -> bool:
        """No other statement, and no header, stands on its lines."""
        return self.starts_line and self.ends_line


def _checked(source: Source, edits: list[TextEdit], start: int, end: int, new: str) -> list[TextEdit]:
    """The edits if the text still parses as well as it did with them."""
    text = source.text
    return edits if parses(text[:start] + new + text[end:]) or not parses(text) else []


def parses_with(source: Source, edits: list[TextEdit]) -> bool:
    """Does the text still parse as well as it did, with these edits made?"""
    starts, text = line_starts(source), source.text

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + column - 1

    for edit in sorted(edits, key=lambda edit: edit.span, reverse=True):
        span = edit.span
        text = text[: offset(span.line, span.column)] + edit.text + text[offset(span.end_line, span.end_column) :]
    return parses(text) or not parses(source.text)


def changed(source: Source, start: int, end: int, new: str) -> list[TextEdit]:
    return _checked(source, smallest_edit(source, start, end, new), start, end, new)


def _exactly(source: Source, start: int, end: int, new: str) -> list[TextEdit]:
    return _checked(source, [text_edit(source, start, end, new)], start, end, new)


def delete_statement(place: Place) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None:
        return []
    source, block, position = place.source, found.block, found.position
    if len(block) == 1 and not isinstance(path_to(source.tree, found.node)[-2], ast.Module):
        return _exactly(source, found.start, found.end, "pass")
    if found.owns_lines:
        is_last = found.line_end == len(source.text) and not source.text.endswith(("\n", "\r"))
        # What had no line end at the end of the file still has none.
        start = (
            len(source.text[: found.line_start].removesuffix("\n").removesuffix("\r")) if is_last else found.line_start
        )
        return _exactly(source, start, found.line_end, "")
    if position + 1 < len(block):
        following = Statement(source, block[position + 1], block)
        if following.line == found.end_line:
            return _exactly(source, found.start, following.start, "")
    if position:
        return _exactly(source, Statement(source, block[position - 1], block).end, found.end, "")
    return _exactly(source, found.line_start, found.line_end, "") if found.starts_line else []


def indented(source: Source, code: str, indent: str) -> str:
    """Lines of statements that share an indentation, with another one; empty if LibCST cannot read them.

    LibCST knows which lines belong to a string and must not move.
    """
    newline = newline_of(source)
    if newline == "\r" and "\n" not in code:
        # LibCST does not take it for the end of a line.
        return _reindented(source, code.replace("\r", "\n"), indent, "\n").replace("\n", "\r")
    return _with_ends_of(code, _reindented(source, code, indent, newline))


def _with_ends_of(before: str, after: str) -> str:
    """Lines with the ends that they had before."""
    old, new = split_lines(before), split_lines(after)
    if len(old) != len(new):
        return after
    ends = [line[len(line.rstrip("\r\n")) :] for line in old]
    return "".join(line.rstrip("\r\n") + end if end else line for line, end in zip(new, ends, strict=True))


def _reindented(source: Source, code: str, indent: str, newline: str) -> str:
    margin = code[: len(code) - len(code.lstrip(" \t"))]
    try:
        module = cst.parse_module((f"if 1:{newline}" if margin else "") + code.rstrip("\r\n") + newline)
        body: list[cst.BaseStatement] = list(module.body)
        block = body[0].body if margin and isinstance(body[0], cst.If) else None
        if isinstance(block, cst.IndentedBlock):
            body = list(block.body)
        first = body[0]
        if module.header and isinstance(first, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
            body[0] = first.with_changes(leading_lines=[*module.header, *first.leading_lines])
        if indent:
            # A header to carry the indentation inwards; it goes again below.
            body = [cst.If(cst.Integer("1"), cst.IndentedBlock(body, indent=indent))]
        unit = indentation_unit(source)
        made = module.with_changes(header=[], body=body, default_newline=newline, default_indent=unit).code
    except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError, IndexError):
        return ""
    return "".join(split_lines(made)[1 if indent else 0 :])


def _with_newlines(source: Source, new: str) -> str:
    return newline_of(source).join(line.rstrip("\r\n") for line in split_lines(new.strip("\r\n")))


def insert_before(place: Place, new: str) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None:
        return []
    if not found.starts_line:
        line = _single(new)
        return _exactly(place.source, found.start, found.start, f"{line}; ") if line else []
    lines = indented(place.source, _with_newlines(place.source, new), found.indent)
    return _exactly(place.source, found.line_start, found.line_start, lines) if lines else []


def insert_after(place: Place, new: str) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None:
        return []
    source = place.source
    if not found.ends_line or not found.starts_line:
        line = _single(new)
        return _exactly(source, found.end, found.end, f"; {line}") if line and _is_small(found.node) else []
    lines = indented(source, _with_newlines(source, new), found.indent)
    if not lines:
        return []
    at = found.line_end
    if not source.text[:at].endswith(("\n", "\r")):
        lines = newline_of(source) + lines.rstrip("\r\n")
    return _exactly(source, at, at, lines)


def _is_small(statement: ast.stmt) -> bool:
    return not hasattr(statement, "body") and not isinstance(statement, (ast.Try, ast.Match))


def _single(new: str) -> str:
    """The source if it is one statement that can share a line."""
    try:
        body = ast.parse(new.strip()).body
    except SyntaxError:
        return ""
    return new.strip() if len(body) == 1 and _is_small(body[0]) and "\n" not in new.strip() and "#" not in new else ""


def remove_decorator(place: Place) -> list[TextEdit]:
    source, starts = place.source, line_starts(place.source)
    span = source.span(place.node)
    start, end = starts[span.line - 1], starts[span.end_line]
    before = source.text[start : start + span.column - 1]
    rest = source.text[starts[span.end_line - 1] + span.end_column - 1 : end]
    if before.strip() != "@" or (rest.strip() and not rest.strip().startswith("#")):
        return []
    comment = before.replace("@", "") + rest.lstrip(" \t") if rest.strip() else ""
    return _exactly(source, start, end, comment)


def add_decorator(place: Place, new: str) -> list[TextEdit]:
    found = Statement.holding(place)
    if found is None or not found.starts_line or found.node is not place.node:
        return []
    line = f"{found.indent}@{new}{newline_of(place.source)}"
    at = line_starts(place.source)[place.source.span(place.node).line - 1]
    return _exactly(place.source, at, at, line)


def wrap_in_no_grad(place: Place, torch_name: str, mode: str, last: Place | None) -> list[TextEdit]:
    found = Statement.holding(place)
    end = Statement.holding(last) if last is not None else found
    if found is None or end is None or not found.owns_lines or not end.owns_lines:
        return []
    source = place.source
    header = f"{found.indent}with {torch_name}.{mode}():{newline_of(source)}"
    body = indented(source, source.text[found.line_start : end.end], found.indent + indentation_unit(source))
    made = changed(source, found.line_start, end.end, header + body.rstrip("\r\n")) if body else []
    return [*import_of_torch(place, torch_name), *made] if made else []


def start_with_comments(found: Statement) -> int:
    """Where a statement begins, with the lines of comments right above it."""
    source, line, starts = found.source, found.line, line_starts(found.source)
    while line > 1 and source.lines[line - 2].startswith(f"{found.indent}#"):
        line -= 1
    return starts[line - 1]


def move_statement_out_of_with(statement: Place, block: Place, last: Place | None = None) -> list[TextEdit]:
    source, outer = block.source, Statement.holding(block)
    if outer is None or not isinstance(outer.node, ast.With) or not outer.owns_lines:
        return []
    items, body = outer.node.items, outer.node.body
    if len(items) != 1 or items[0].optional_vars is not None:
        return []
    inner = [Statement(source, item, body) for item in body]
    chosen = inner if statement.node is outer.node else _between(inner, outer.node, statement, last or statement)
    if not chosen:
        return []
    if inner[0].line == outer.line or not inner[0].starts_line:
        # The body follows on the line of its header.
        return changed(source, outer.start, inner[0].start, "") if len(chosen) == len(inner) else []
    start, end = start_with_comments(chosen[0]), chosen[-1].line_end
    if not chosen[0].starts_line or not chosen[-1].ends_line:
        return []
    lines = indented(source, source.text[start:end], outer.indent)
    if not source.text[start:end].endswith(("\n", "\r")):
        lines = lines.rstrip("\r\n")
    header = source.text[outer.line_start : start]
    if not lines:
        return []
    if len(chosen) == len(inner):
        return changed(source, outer.line_start, end, _comment_lines(source, header, outer.indent) + lines)
    if chosen[0] is inner[0]:
        return changed(source, outer.line_start, end, lines + header)
    return changed(source, start, end, lines) if chosen[-1] is inner[-1] else []


def _between(inner: list[Statement], block: ast.AST, first: Place, last: Place) -> list[Statement]:
    """The statements of a block from the one with the `first` node to the one with the `last`."""
    ends = [path_to(block, place.node) for place in (first, last)]
    found = [number for number, item in enumerate(inner) for path in ends if any(item.node is part for part in path)]
    return inner[found[0] : found[-1] + 1] if found else []


def _comment_lines(source: Source, header: str, indent: str) -> str:
    """The comments of a header that goes, each on a line."""
    found = comments(header + indent + " pass")
    return "".join(f"{indent}{comment}{newline_of(source)}" for comment in found.elements())
