"""Iterators that can be gone through once: what `parameters()` and generators give."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import contexts
from gradls.flow.graph import At
from gradls.flow.values import Sequence, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


SHOWN = ("shown",)
"""The slot of a progress bar with what it goes through."""


def shown(value: Value) -> Value:
    """What a loop over a value goes through: what a progress bar shows, and otherwise the value itself."""
    while type(value) is Unknown and SHOWN in value.fields:
        value = value.fields[SHOWN]
    return value


def exhausted(value: Value | None) -> At | None:
    """Where an iterator was gone through, so that nothing is left in it; None if it was not, or maybe not."""
    if isinstance(value, Sequence) and value.kind == "iterator":
        return value.fields.get("exhausted")
    return None


def consume(run: Run, value: Value | None, node: ast.AST) -> None:
    """Note that an iterator is gone through to its end at `node`; other values stay as they are."""
    if isinstance(value, Sequence) and value.kind == "iterator" and value.fields.get("exhausted") is None:
        # The slot exists from the beginning, so that branches which do not go through it count too.
        value.fields.setdefault("exhausted", None)
        run.state.set(value.fields, "exhausted", run.at(node))


def give(run: Run, node: ast.Yield, value: Value) -> None:
    """What `yield` gives, and the grad mode that it leaves to the consumer."""
    run.frame.yields.append(value)
    run.frame.left.append(contexts.left_open(run, node))
    run.event("yield", node, value, mode=run.mode["grad"])
