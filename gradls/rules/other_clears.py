"""Clears of gradients: may they be those of an optimizer, where others are cleared beside it?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Function, Instance, Unknown, Value
from gradls.rules.training_order import CLEARS, Moment, Order, is_vague_optimizer, loops_of, rounds_of


def is_cleared_in_round(facts: Facts, order: Order, step: Moment, backward: Moment) -> bool:
    """May the gradients that a step applies be cleared in each round of the innermost loop in which it and the backward
    stand?"""
    rounds = [one for one in rounds_of(step.event.path) if id(one.loop) in loops_of(backward.event.path)]
    if not rounds:
        return True
    loop = id(rounds[-1].loop)
    clears = (moment for moment in order.in_loops[loop] if moment.kind == "clear")
    return any(_may_be_of(order, clear, step) for clear in clears) or _says_zero(facts, order)


def is_cleared_anywhere(facts: Facts, order: Order, step: Moment) -> bool:
    """May anything in the file clear the gradients that a step applies?"""
    clears = (moment for moment in order.moments if moment.kind == "clear")
    return any(_may_be_of(order, clear, step) for clear in clears) or _says_zero(facts, order)


def _may_be_of(order: Order, clear: Moment, step: Moment) -> bool:
    """May a clear be one of the gradients that a step applies? It is not where it is of another optimizer, unless both
    are known to share parameters."""
    if clear.event.kind not in CLEARS or clear.event.value is step.event.value:
        return True
    if clear.tensors is not None and step.tensors is not None and step.event.kind == "step":
        return not clear.tensors.isdisjoint(step.tensors)
    return not (_is_optimizer(order, clear.event) and _are_two(clear.event.value, step.event.value))


def _is_optimizer(order: Order, event: Event) -> bool:
    return is_vague_optimizer(event) or (isinstance(event.value, Instance) and event.value in order.made)


def _are_two(one: Value | None, other: Value | None) -> bool:
    """Are these certainly two objects, or two that go by different names where they are given?"""
    if isinstance(one, Instance) and isinstance(other, Instance):
        return True
    if _holds(one, other) or _holds(other, one):
        return False
    first, second = _name(one), _name(other)
    return bool(first and second) and first != second


def _holds(one: Value | None, other: Value | None) -> bool:
    """Is the second an attribute of the first? `trainer.step()` may step `trainer.optimizer`."""
    while isinstance(other, Unknown) and "of" in other.fields:
        other = other.fields["of"]
        if other is one:
            return True
    return False


def _name(value: Value | None) -> str:
    """What an optimizer that is made here or given goes by."""
    if isinstance(value, Instance):
        return value.name
    return value.name if isinstance(value, Unknown) and value.origin in ("argument", "attribute") else ""


def _says_zero(facts: Facts, order: Order) -> bool:
    """Is anything else called that sounds as if it cleared gradients?"""
    clears = {moment.event.at.node for moment in order.moments if moment.kind == "clear"}
    return any(call not in clears for call in facts.each(_calls_of_zero))


def _calls_of_zero(facts: Facts) -> Iterator[ast.Call]:
    for call, records in facts.calls.items():
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if "zero" in name and "zeros" not in name and not all(isinstance(one, Function) for one, _, _ in records):
            yield call
