"""Gradients of more than one loss: of several calls of a closure, and of what another optimizer stepped for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event
from gradls.flow.paths import Evaluations
from gradls.flow.values import Tensor
from gradls.rules.training_order import Moment, Order, is_on_the_way, rounds_of


class Left(NamedTuple):
    """What a step applies of a loss that was for something else: the `first` backward, which filled the gradients of
    `tensors`, the step that another optimizer has `taken` for it, or where the gradient of an input is read, and the
    backward of the optimizer's `own` loss, which added to them."""

    first: Event
    taken: Event
    own: Event
    tensors: frozenset[Tensor]


def left_by_another_loss(order: Order, before: Moment | None, step: Moment) -> Left | None:
    """What `step` applies besides its own loss, of what happened since the step `before`."""
    held = frozenset(step.event.parameters)
    filled: Moment | None = None
    for moment in _since(order, before, step, held):
        if moment.tensors is None:
            return None
        if moment.kind == "clear" and moment.tensors & held:
            filled = None
        elif moment.kind == "backward" and moment.tensors & held:
            filled = filled or moment
    if filled is None:
        return None
    since = [filled]
    for moment in order.between(filled.number, step.number):
        tensors = moment.tensors or frozenset()
        of_input = moment.kind == "read" and not any(one in order.trained or one.is_parameter for one in tensors)
        if of_input or moment.kind == "step" or (moment.kind == "backward" and tensors & held):
            since.append(moment)
    for number, moment in enumerate(since):
        # Who keeps the graph for the second backward adds them up on purpose.
        if moment.kind == "backward" and moment.event.retain is False:
            found = _left(moment, since[number + 1 :], step.event, held)
            if found is not None and is_on_the_way(moment.event.path, step.event.path):
                return found
    return None


def _left(first: Moment, later: list[Moment], step: Event, held: frozenset[Tensor]) -> Left | None:
    """Does anything show that this backward was for another optimizer?"""
    filled = first.tensors or frozenset()
    taken: Event | None = None
    for moment in later:
        concerned = filled & (moment.tensors or frozenset())
        if moment.kind == "step" and concerned and not (moment.tensors or frozenset()) & held:
            taken = moment.event
            continue
        if moment.kind == "read":
            taken = moment.event if concerned and taken is None else taken
            continue
        # The same statements in another round are those of another optimizer only if all of them are.
        alike = first.event.at.node is moment.event.at.node
        if moment.kind != "backward" or taken is None or (alike and taken.at.node is not step.at.node):
            continue
        if concerned & held:
            return Left(first.event, taken, moment.event, concerned & held)
    return None


def _since(order: Order, before: Moment | None, step: Moment, held: frozenset[Tensor]) -> Iterator[Moment]:
    """What happens to the gradients of these tensors between two steps."""
    start = before.number if before is not None else -1
    return (moment for moment in order.about(held) if start < moment.number < step.number)


def summed_in_closure(order: Order, before: Moment | None, step: Moment) -> Event | None:
    """The backward with which one step of an optimizer adds up the gradients of several calls of its closure."""
    held = frozenset(step.event.parameters)
    first: Event | None = None
    found: Event | None = None
    for moment in _since(order, before, step, held):
        concerns = None if moment.tensors is None else not moment.tensors.isdisjoint(held)
        if moment.kind == "clear" and concerns is not False:
            first = found = None
        elif moment.kind == "backward" and concerns:
            event = moment.event
            if first is not None and first.at.node is event.at.node and _evaluations(first) & _evaluations(event):
                found = found or event
            first = event
    return found


def _evaluations(event: Event) -> set[int]:
    return {id(one.loop) for one in rounds_of(event.path) if isinstance(one.loop, Evaluations)}
