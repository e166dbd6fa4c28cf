"""Steps behind the loop that clears and computes their gradients in each of its rounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor, Value
from gradls.rules.training_order import (
    CLEARS,
    STEPS,
    Moment,
    Order,
    innermost,
    is_given,
    is_on_the_way,
    is_vague_optimizer,
    may_be_left,
    rounds_of,
)


class Late(NamedTuple):
    """A loop that clears gradients and computes them again in each round, and the one `step` behind it. `is_certain`:
    it is known which parameters the optimizer has, and that the backward fills their gradients."""

    clear: Event
    backward: Event
    step: Event
    is_certain: bool


def late_steps(facts: Facts, order: Order) -> Iterator[Late]:
    """The steps that get of all that the rounds of a loop compute what the last one leaves."""
    last: dict[Value | None, Moment] = {}
    for moment in order.moments:
        late = None
        if moment.event.kind == "step" and moment.tensors:
            late = _of_known(order, moment, moment.tensors)
        elif moment.event.kind in STEPS and is_vague_optimizer(moment.event):
            late = _of_unknown(facts, order, last.get(moment.event.value), moment)
        last[moment.event.value] = moment
        if late is not None:
            yield late


def _of_known(order: Order, step: Moment, held: frozenset[Tensor]) -> Late | None:
    mine = (moment for moment in order.before(step, held) if moment.tensors is None or moment.tensors & held)
    before = list(islice(mine, 4))[::-1]
    if [m.kind for m in before] != ["clear", "backward"] * 2 or not all(m.tensors for m in before):
        return None
    first, filled, clear, last = before
    loop = innermost(last.event.path)
    if loop is None or _is_in(step, loop) or may_be_left(loop) or clear.event.kind != "zero-grad":
        return None
    if any(innermost(m.event.path) is not loop for m in before) or clear.event.at.node is not first.event.at.node:
        return None
    cleared = clear.tensors is not None and filled.tensors is not None and filled.tensors & held <= clear.tensors
    if not cleared or not is_on_the_way(clear.event.path, last.event.path):
        return None
    return Late(clear.event, last.event, step.event, True)


def _of_unknown(facts: Facts, order: Order, clear: Moment | None, step: Moment) -> Late | None:
    """The same of an optimizer that is given, and of which `clear` comes last before: nothing else in the loop does
    anything with it."""
    loop = innermost(clear.event.path) if clear is not None else None
    if clear is None or loop is None or clear.event.kind not in CLEARS or may_be_left(loop):
        return None
    if _is_in(step, loop) or clear.event.calls != step.event.calls or is_given(facts, step.event.value):
        return None
    inside = [m for m in order.together(clear.event) if m.number < step.number and _is_in(m, loop)]
    if any(moment.kind in ("step", "read") or moment.event.kind == "grad-set" for moment in inside):
        return None
    if any(_is_within(event, loop) for event in facts.of("unknown-grad-read")):
        return None
    backward = next((m for m in reversed(inside) if m.kind == "backward" and m.number > clear.number), None)
    if backward is None or not is_on_the_way(clear.event.path, backward.event.path):
        return None
    if not is_on_the_way(backward.event.path, clear.event.path) or not is_on_the_way(step.event.path, clear.event.path):
        return None
    return Late(clear.event, backward.event, step.event, False)


def _is_in(moment: Moment, loop: ast.AST) -> bool:
    return _is_within(moment.event, loop)


def _is_within(event: Event, loop: ast.AST) -> bool:
    return any(getattr(one.loop, "statement", None) is loop for one in rounds_of(event.path))
