"""Short notes at assignments: where a gradient is cut, and where one begins anew."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradls.explain import cuts
from gradls.explain.leads import is_loud, leads
from gradls.explain.places import function_around
from gradls.explain.tensors import about_tensor, states
from gradls.flow.facts import Facts, TensorState
from gradls.flow.graph import Node
from gradls.rules.finding import Finding
from gradls.syntax.separators import line_in_words
from gradls.syntax.source import Span

OFF, CUTS, ALL = "off", "cuts", "all"


@dataclass(frozen=True, slots=True)
class Hint:
    """`label` belongs behind the 1-based `column` of `line`; `tooltip` are paragraphs. `to` is the path and the place
    that it leads to: of a gradient that is lost the cut, of a part in what goes wrong elsewhere the finding."""

    line: int
    column: int
    label: str
    tooltip: tuple[str, ...]
    to: tuple[str, Span] | None = None


def hints(facts: Facts, first: int, last: int, which: str = CUTS, findings: Iterable[Finding] = ()) -> Iterator[Hint]:
    """The notes for the lines from `first` to `last`, in the order of the text.

    `all` are more: what has a gradient, and what the findings tell of. Hover says that in any case."""
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
        cut = _cut_here(facts, state, statement)
        label = _label(facts, state, cut, which == ALL)
        if label:
            span = source.span(node)
            to = (source.path, source.span(cut.cut.at.node)) if cut is not None and cut.cut is not None else None
            found.append(Hint(span.end_line, span.end_column, label, tuple(about_tensor(facts, state)), to))
    if which == ALL:
        found += _leads(facts, first, last, findings)
    yield from sorted(found, key=lambda hint: (hint.line, hint.column))


def _leads(facts: Facts, first: int, last: int, findings: Iterable[Finding]) -> Iterator[Hint]:
    """Behind the places that findings tell of, where these are; one for each rule at a place."""
    seen = set()
    for lead in leads(filter(is_loud, findings), facts.source):
        span, finding = lead.span, lead.finding
        # A block, or a function, is told by its first line.
        line, column = span.end_line, span.end_column
        if line > span.line:
            line, column = span.line, len(facts.source.lines[span.line - 1].rstrip()) + 1
        if first <= line <= last and (line, column, finding.name) not in seen:
            seen.add((line, column, finding.name))
            label = f"{finding.name}: {line_in_words(finding.place.source, finding.span.line)}"
            yield Hint(line, column, label, (finding.message, lead.step.message), (finding.path, finding.span))


def _label(facts: Facts, state: TensorState, cut: Node | None, everything: bool) -> str:
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
