"""Iterators that can be gone through once: what `parameters()` and generators give."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import contexts
from gradls.flow.graph import At
from gradls.flow.values import Host, Sequence, Unknown, Value

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


def search(run: Run, iterator: Sequence, value: Value, node: ast.AST) -> bool | None:
    """Is a value in an iterator? Python goes through it as far as that value: nothing is left if it is not there."""
    if exhausted(iterator) is not None:
        return False
    items = iterator.items
    if isinstance(value, Host) and value.known and all(isinstance(item, Host) and item.known for item in items):
        for place, item in enumerate(items):
            if iterator.whole and isinstance(item, Host) and item.value == value.value:
                run.state.set(iterator.fields, "items", items[place + 1 :])
                return True
        if iterator.whole:
            consume(run, iterator, node)
            return False
    if iterator.rest is None:
        # It may have been gone through, and to where is not known.
        run.state.set(iterator.fields, "rest", run.unknown("element"))
    run.state.set(iterator.fields, "unsure", True)
    return None


def give(run: Run, node: ast.Yield, value: Value) -> None:
    """What `yield` gives, and the grad mode that it leaves to the consumer."""
    run.frame.yields.append(value)
    run.frame.left.append(contexts.left_open(run, node))
    run.event("yield", node, value, mode=run.mode["grad"])
