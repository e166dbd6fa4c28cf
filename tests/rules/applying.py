"""Apply text edits; find a node by what is written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from gradls.rules.finding import Place, TextEdit
from gradls.syntax.source import Source


def apply(text: str, edits: Sequence[TextEdit], lines: list[str]) -> str:
    """The text after the edits, all of which speak of the text before."""
    starts = [0, *accumulate(map(len, lines))]

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + column - 1

    spans = sorted((offset(*edit.span[:2]), offset(*edit.span[2:]), edit.text) for edit in edits)
    for (_, end, _), (start, _, _) in pairwise(spans):
        assert end <= start, "edits overlap"
    for start, end, new in reversed(spans):
        text = text[:start] + new + text[end:]
    return text


def place(text: str, wanted: str, kind: type[ast.AST] = ast.AST, nth: int = 0) -> Place:
    """The place of the nth node (in the order of the text) that is written as `wanted`."""
    source = Source.read(text, "demo.py")
    nodes = [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, kind) and hasattr(node, "lineno") and not isinstance(node, ast.keyword)
    ]
    nodes = [node for node in nodes if source.segment(node) == wanted]
    # An expression statement and its expression are written alike: the expression unless a statement is asked for.
    if not issubclass(kind, ast.stmt):
        nodes = [node for node in nodes if not isinstance(node, ast.Expr)] or nodes
    nodes.sort(key=lambda node: source.span(node))
    return Place(source, nodes[nth])


def fixed(
    text: str,
    wanted: str,
    helper: Callable[..., Callable[[], Sequence[TextEdit]]],
    *arguments: object,
    kind: type[ast.AST] = ast.AST,
    nth: int = 0,
) -> str | None:
    """The text after the helper's edits at the node written as `wanted`; None if it made none."""
    at = place(text, wanted, kind, nth)
    edits = helper(at, *arguments)()
    if not edits:
        return None
    assert all(edit.path == "demo.py" for edit in edits)
    new = apply(text, edits, at.source.lines)
    ast.parse(new)
    return new
