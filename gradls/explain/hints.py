"""Short notes at assignments: where a gradient is cut, and where one begins anew."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from gradls.explain import cuts
from gradls.explain.places import function_around
from gradls.explain.tensors import about_tensor, states
from gradls.flow.facts import Facts, TensorState
from gradls.flow.graph import Node

OFF, CUTS, ALL = "off", "cuts", "all"
CHOICES = (OFF, CUTS, ALL)


@dataclass(frozen=True, slots=True)
class Hint:
    """`label` belongs behind the 1-based `column` of `line`; `tooltip` are paragraphs."""

    line: int
    column: int
    label: str
    tooltip: tuple[str, ...]


def hints(facts: Facts, first: int, last: int, which: str = CUTS) -> Iterator[Hint]:
    """The notes for the lines from `first` to `last`, in the order of the text."""
    if which == OFF:
        return
    source = facts.source
    known = states(facts)
    found = []
    for node, state in known.items():
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Store):
            continue
        if not first <= source.line(node) <= last:
            continue
        statement = facts.statement(node)
        if isinstance(statement, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)) or statement is None:
            continue
        label = _label(facts, state, statement, which == ALL)
        if label:
            span = source.span(node)
            found.append(Hint(span.end_line, span.end_column, label, tuple(about_tensor(facts, state))))
    yield from sorted(found, key=lambda hint: (hint.line, hint.column))


def _label(facts: Facts, state: TensorState, statement: ast.stmt, everything: bool) -> str:
    cut = _cut_here(facts, state, statement)
    if cut is not None and state.requires_grad is False and state.dtype != "bool":
        return f"no gradient: {cuts.short(facts, cut)}"
    if cut is not None and state.requires_grad is True and state.leaf is True:
        return f"gradient starts anew: {cuts.short(facts, cut)}"
    if not everything:
        return ""
    return {True: "requires grad", False: "no gradient", None: ""}[state.requires_grad]


def _cut_here(facts: Facts, state: TensorState, statement: ast.stmt) -> Node | None:
    """The cut by which this statement loses a gradient each time that it runs."""
    found: Node | None = None
    for node, _, _ in state.seen:
        here = next((cut for cut in cuts.losses(node) if _is_here(facts, cut, statement)), None)
        if here is None:
            return None
        found = here
    return found


def _is_here(facts: Facts, node: Node, statement: ast.stmt) -> bool:
    """Was the gradient lost by what the statement itself computes?"""
    cut = node.cut
    at = node.at if cut is None or cut.kind == "no_grad" else cut.at
    if cut is None or at is None or at.source is not facts.source or facts.statement(at.node) is not statement:
        return False
    # What a caller switches off is for its own lines to say.
    return cut.kind != "no_grad" or (
        cut.at.source is facts.source and function_around(facts, cut.at.node) is function_around(facts, statement)
    )
