"""All that is known of the gradient at a place."""

from __future__ import annotations

import ast
from typing import NamedTuple

from gradls.explain.names import instances
from gradls.explain.objects import about_object
from gradls.explain.places import expressions_at, text
from gradls.explain.tensors import about_tensor, states
from gradls.flow.facts import Facts
from gradls.flow.values import Instance
from gradls.syntax.source import Span


class About(NamedTuple):
    """Paragraphs about the expression at `span`, in Markdown that reads well as plain text."""

    span: Span
    paragraphs: list[str]


def about(facts: Facts, line: int, column: int) -> About | None:
    """What is known of the tensor, module or optimizer at a 1-based place; None if there is none."""
    for node in expressions_at(facts.source, line, column):
        state = states(facts).get(node)
        if state is not None:
            return About(facts.source.span(node), about_tensor(facts, state))
        value = _object(facts, node)
        if value is not None:
            paragraphs = about_object(facts, text(facts, node), value)
            if paragraphs:
                return About(facts.source.span(node), paragraphs)
    return None


def _object(facts: Facts, node: ast.expr) -> Instance | None:
    """The object that an expression is."""
    known = instances(facts)
    value = known.get(node)
    if value is None and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        statement = facts.parent(node)
        if isinstance(statement, ast.Assign) and node in statement.targets:
            value = known.get(statement.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
        return None
    return value
