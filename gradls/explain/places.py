"""Which expression stands at a place, and where things are."""

from __future__ import annotations

import ast

from gradls.flow.facts import Facts
from gradls.flow.graph import At
from gradls.rules.words import code
from gradls.syntax.separators import line_in_words
from gradls.syntax.source import Source

WITHS = (ast.With, ast.AsyncWith)


def expressions_at(source: Source, line: int, column: int) -> list[ast.expr]:
    """The expressions that somebody means who points at a 1-based place: the innermost one, and the call if it is what
    is called there. None if nothing but a constant stands there."""
    chain: list[ast.AST] = [source.tree]
    while (inner := _child_at(source, chain[-1], line, column)) is not None:
        chain.append(inner)
    chain = [node for node in chain if isinstance(node, ast.expr)]
    if not chain or isinstance(chain[-1], (ast.Constant, ast.JoinedStr)):
        return []
    found = [chain[-1]]
    if len(chain) > 1 and isinstance(chain[-2], ast.Call) and chain[-2].func is chain[-1]:
        found.append(chain[-2])
    return [node for node in found if isinstance(node, ast.expr)]


def _child_at(source: Source, node: ast.AST, line: int, column: int) -> ast.AST | None:
    for child in ast.iter_child_nodes(node):
        if not hasattr(child, "lineno"):
            # Arguments, `with` items and the like have no place of their own.
            found = _child_at(source, child, line, column)
            if found is not None:
                return found
            continue
        if source.line(child) > line and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        span = source.span(child)
        if (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column):
            return child
        for decorator in getattr(child, "decorator_list", ()):
            span = source.span(decorator)
            if (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column):
                return decorator
    return None


def function_around(facts: Facts, node: ast.AST) -> ast.AST | None:
    """The function that a node is in, or that it decorates; None for the module's own statements."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return next((outer for outer in facts.parents(node) if isinstance(outer, functions)), None)


def where(facts: Facts, at: At) -> str:
    """ "line 12", or "line 12 of model.py" """
    line = at.source.line(at.node)
    if at.source is facts.source:
        return line_in_words(at.source, line)
    return f"line {line} of {at.source.path.replace(chr(92), '/').rpartition('/')[2]}"


def text(facts: Facts, node: ast.AST) -> str:
    """The expression or the head of the block, in backquotes and short."""
    return code(facts, node.items[0].context_expr if isinstance(node, WITHS) else node)
