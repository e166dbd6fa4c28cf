"""The smallest statement that holds a node: as text, as a LibCST tree, and as edits of the file that it stands in."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from gradls.rules.finding import Place, TextEdit
from gradls.syntax.source import Source, Span
from gradls.syntax.text import split_lines


def path_to(tree: ast.AST, node: ast.AST) -> list[ast.AST]:
    """The nodes from `tree` down to `node`, both included; empty if it is not there."""
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    path: list[ast.AST] = []
    while stack:
        current, depth = stack.pop()
        del path[depth:]
        path.append(current)
        if current is node:
            return path
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(current))
    return []


def line_starts(source: Source) -> list[int]:
    """The offset of each line in the text, and that of its end."""
    return [0, *accumulate(map(len, source.lines))]


def newline_of(source: Source) -> str:
    """The line end that the text uses first."""
    for line in source.lines:
        if line.endswith(("\n", "\r")):
            return line[len(line.rstrip("\r\n")) :]
    return "\n"


def indentation_of(source: Source, line: int) -> str:
    """The white space that a 1-based line starts with."""
    text = source.lines[line - 1]
    return text[: len(text) - len(text.lstrip(" \t\f"))]


def indentation_unit(source: Source) -> str:
    """One step of indentation in this text."""
    for node in ast.walk(source.tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.stmt) and isinstance(body, list) and body:
            outer = indentation_of(source, source.span(node).line)
            inner = indentation_of(source, source.span(body[0]).line)
            if inner.startswith(outer) and inner != outer:
                return inner[len(outer) :]
    return "    "


def first_line(source: Source, statement: ast.AST) -> int:
    """The 1-based line on which a statement starts, its decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return min(source.span(node).line for node in [*decorators, statement])


def text_edit(source: Source, start: int, end: int, text: str) -> TextEdit:
    """The edit that replaces the text between two offsets."""
    starts = line_starts(source)
    if source.lines and not source.lines[-1].endswith(("\n", "\r")):
        starts.pop()  # the end of the text is no new line

    def position(offset: int) -> tuple[int, int]:
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    return TextEdit(source.path, Span(*position(start), *position(end)), text)


def smallest_edit(source: Source, start: int, end: int, new: str) -> list[TextEdit]:
    """One edit that turns the text between two offsets into `new`, or none if it is that already."""
    old = source.text[start:end]
    if old == new:
        return []
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if head and old[head - 1] == "\r" and (old[head : head + 1] == "\n" or new[head : head + 1] == "\n"):
        head -= 1  # never between the two halves of a line end
    if (
        tail
        and old[len(old) - tail] == "\n"
        and "\r" in (old[len(old) - tail - 1 :][:1], new[len(new) - tail - 1 :][:1])
    ):
        tail -= 1
    return [text_edit(source, start + head, start + len(old) - tail, new[head : len(new) - tail])]


def meaning(code: str) -> str | None:
    """The tree of `code` without its positions, as text to compare; None if it does not parse."""
    tree = _tree(code)
    return ast.dump(tree) if tree else None


def parses(code: str) -> bool:
    return _tree(code) is not None


def _tree(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def comments(code: str) -> Counter[str]:
    """The comments in `code`, in order of first appearance."""
    found: Counter[str] = Counter()
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                found[token.string] += 1
    except (tokenize.TokenError, SyntaxError):
        pass  # what came before counts
    return found


def import_of_torch(place: Place, torch_name: str) -> list[TextEdit]:
    """What makes `torch_name` the name of torch at a place: nothing, or an import before the file's first one from
    torch. A file that imports nothing from torch has the name from elsewhere."""
    source = place.source
    scopes = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
    for scope in path_to(source.tree, place.node):
        if isinstance(scope, scopes) and any(_binds(statement, torch_name) for statement in _of_scope(scope)):
            return []
    for statement in source.tree.body:
        names = [statement.module or ""] if isinstance(statement, ast.ImportFrom) and not statement.level else []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        if any(name.partition(".")[0] == "torch" for name in names):
            start = _start_of(source, statement)
            written = "import torch" if torch_name == "torch" else f"import torch as {torch_name}"
            return [text_edit(source, start, start, written + newline_of(source))]
    return []


def _start_of(source: Source, statement: ast.stmt) -> int:
    """The offset of a statement, behind the byte order mark or the form feed that its line may begin with."""
    span = source.span(statement)
    return max(line_starts(source)[span.line - 1] + span.column - 1, int(source.text.startswith("\ufeff")))


def import_of_copy(place: Place) -> list[TextEdit] | None:
    """What makes `copy` the name of that module at a place: nothing, or an import before the file's first; None if
    something else may go by that name."""
    source = place.source
    first: ast.stmt | None = None
    for statement in source.tree.body:
        if isinstance(statement, ast.Import):
            if any(alias.name == "copy" and alias.asname is None for alias in statement.names):
                return []
            first = first or statement
        elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
            first = first or statement
    names = (getattr(node, "id", getattr(node, "arg", getattr(node, "asname", ""))) for node in ast.walk(source.tree))
    if first is None or "copy" in names or any(_is_import_of(node, "copy") for node in ast.walk(source.tree)):
        return None
    start = _start_of(source, first)
    return [text_edit(source, start, start, f"import copy{newline_of(source)}")]


def _is_import_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.alias) and node.name == name and node.asname is None


def _of_scope(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or function that are not in a function or class within it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield child
            yield from _of_scope(child)


def _binds(node: ast.AST, name: str) -> bool:
    """Is this an import that gives torch a name?"""
    return isinstance(node, ast.Import) and any(
        alias.asname == name if alias.asname else alias.name.partition(".")[0] == "torch" == name
        for alias in node.names
    )


@dataclass(frozen=True)
class Snippet:
    """A statement of `source`, or the header of one that has a body, as LibCST sees it.

    `code`, the text of `module`, is `before` (what makes an indented statement a module), then the text of the file
    from the offset `start` to `end`, then `after` (a body for a header).
    """

    source: Source
    path: list[ast.AST]
    start: int
    end: int
    before: str
    after: str
    module: cst.Module
    ranges: dict[cst.CSTNode, CodeRange]

    @classmethod
    def holding(cls, source: Source, node: ast.AST) -> Snippet | None:
        """The smallest statement that holds `node`; None inside f-strings and where LibCST cannot read it."""
        path = path_to(source.tree, node)
        if any(type(parent).__name__ in ("JoinedStr", "TemplateStr") for parent in path[:-1]):
            return None  # Python before 3.12 does not say where the parts of an f-string stand
        statement = next((parent for parent in reversed(path) if isinstance(parent, ast.stmt)), None)
        if statement is None:
            return None
        starts = line_starts(source)
        span = source.span(statement)
        start = starts[span.line - 1] + span.column - 1
        end = starts[span.end_line - 1] + span.end_column - 1
        before = after = ""
        body = statement.cases if isinstance(statement, ast.Match) else getattr(statement, "body", None)
        if isinstance(body, list):
            first = first_line(source, statement)
            start = starts[first - 1]
            before = "if 1:\n" if indentation_of(source, first) else ""
            end, after = _end_of_header(source, body[0], starts)
        text = source.text[start:end]
        if isinstance(statement, ast.If) and text.lstrip(" \t\f").startswith("elif"):
            text = text.replace("elif", "if  ", 1)  # of the same length, so that positions stay
        return cls._parsed(source, path, start, end, before, text, after)

    @classmethod
    def _parsed(
        cls, source: Source, path: list[ast.AST], start: int, end: int, before: str, text: str, after: str
    ) -> Snippet | None:
        code = before + text + after
        config = cst.PartialParserConfig(default_newline=newline_of(source), default_indent=indentation_unit(source))
        try:
            module = cst.parse_module(code, config)
            if module.code != code:
                return None
            wrapper = MetadataWrapper(module)
            ranges = dict(wrapper.resolve(PositionProvider))
        except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
            return None
        return cls(source, path, start, end, before, after, wrapper.module, ranges)

    @property
    def code(self) -> str:
        return self.module.code

    def find(self, node: ast.AST) -> cst.BaseExpression | None:
        """The LibCST expression that stands where `node` does."""
        span = self.source.span(node)
        starts = line_starts(self.source)
        shift = len(self.before) - self.start
        wanted = (
            starts[span.line - 1] + span.column - 1 + shift,
            starts[span.end_line - 1] + span.end_column - 1 + shift,
        )
        lines = self._line_starts()
        for found, place in self.ranges.items():
            if isinstance(found, cst.BaseExpression):
                start = lines[place.start.line - 1] + place.start.column
                end = lines[place.end.line - 1] + place.end.column
                if (start, end) == wanted or (
                    # `ast` counts the parentheses of these as theirs.
                    isinstance(node, (ast.Tuple, ast.GeneratorExp))
                    and isinstance(found, (cst.Tuple, cst.GeneratorExp))
                    and self.code[wanted[0] : start].strip() == "("
                    and self.code[end : wanted[1]].strip().endswith(")")
                ):
                    return found
        return None

    def bounds(self, node: cst.CSTNode) -> tuple[int, int]:
        """The offsets in `code` between which a node stands, without the parentheses around it."""
        lines = self._line_starts()
        place = self.ranges[node]
        return lines[place.start.line - 1] + place.start.column, lines[place.end.line - 1] + place.end.column

    def _line_starts(self) -> list[int]:
        return [0, *accumulate(map(len, split_lines(self.code)))]

    def replaced(self, old: cst.CSTNode, new: cst.CSTNode) -> str:
        """The code with one node in the place of another."""
        module = self.module.deep_replace(old, new)
        assert isinstance(module, cst.Module)
        return module.code

    def put(self, old: cst.BaseExpression, new: cst.BaseExpression) -> list[TextEdit]:
        """The edits that put an expression in the place of another, in parentheses only where it needs them."""
        new = new.with_changes(lpar=[*old.lpar, *new.lpar], rpar=[*new.rpar, *old.rpar])
        bare = self.replaced(old, new)
        wrapped = self.replaced(old, in_parentheses(new))
        return self.become(bare if meaning(bare) == meaning(wrapped) else wrapped)

    def become(self, code: str) -> list[TextEdit]:
        """The edits that turn this statement into `code`. Comments that it has lost move to the lines above it."""
        if not code.startswith(self.before) or not code.endswith(self.after) or meaning(code) is None:
            return []
        new = code[len(self.before) : len(code) - len(self.after)]
        start = self.start
        old = self.source.text[start : self.end]
        if self.code != self.before + old + self.after and new.lstrip(" \t\f").startswith("if  "):
            new = new.replace("if  ", "elif", 1)
        lost = comments(self.code) - comments(code)
        if lost:
            line_start = max((at for at in line_starts(self.source) if at <= start), default=0)
            head = self.source.text[line_start:start]
            if head.strip():
                return []
            new, start = head + new, line_start
            indent = new[: len(new) - len(new.lstrip(" \t\f"))]
            new = "".join(f"{indent}{comment}{newline_of(self.source)}" for comment in lost.elements()) + new
        return smallest_edit(self.source, start, self.end, new)


def in_parentheses(expression: cst.BaseExpression) -> cst.BaseExpression:
    """The expression with one more pair of parentheses around it."""
    return expression.with_changes(lpar=[cst.LeftParen(), *expression.lpar], rpar=[*expression.rpar, cst.RightParen()])


def _end_of_header(source: Source, first: ast.stmt | ast.match_case, starts: list[int]) -> tuple[int, str]:
    """Where the header that precedes the first item of a body ends, and a body for it."""
    if isinstance(first, ast.match_case):
        line = source.span(first.pattern).line
        return starts[line - 1], f"{indentation_of(source, line)}case _: pass"
    line = first_line(source, first)
    column = source.span(first).column if line == source.span(first).line else 1
    indent = indentation_of(source, line)
    if len(indent) + 1 >= column:
        return starts[line - 1], f"{indent}pass"
    return starts[line - 1] + column - 1, "pass"
