"""Steps that apply what a backward has left which was not for them: for another optimizer, as in a GAN without
`detach()`, or to be read, as the importance of parameters is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules.training_order import Moment, Order, order_of


class Mixed(NamedTuple):
    """`step` applies what `first` and `last` have filled together; between them `other` stepped for `first`."""

    first: Moment
    other: Moment
    last: Moment
    step: Moment
    leaves: tuple[Tensor, ...]


def mixed_gradients(facts: Facts) -> Iterator[Mixed]:
    """Two backwards since the gradients of a step were cleared. Between them another optimizer has stepped for the
    first, and what the second leaves in the gradients of that one is cleared: each is for one of the two only."""
    order = order_of(facts)
    held = {optimizer: frozenset(parameters) for optimizer, parameters in order.parameters.items() if parameters}
    if len(held) < 2 or any(moment.tensors is None for moment in order.moments):
        return
    for optimizer, tensors in held.items():
        for step in order.steps.get(optimizer, ()):
            backwards = _since_cleared(order, step, tensors)
            if len(backwards) != 2 or backwards[0].event.at.node is backwards[1].event.at.node:
                continue
            last, first = backwards
            other = _stepped_between(order, held, first, last, tensors)
            if other is not None:
                leaves = tuple(tensor for tensor in order.parameters[optimizer] if tensor in (first.tensors or ()))
                yield Mixed(first, other, last, step, leaves)


class Left(NamedTuple):
    """`step` applies what `first` has filled in a function that only reads it, together with what `last` adds."""

    first: Moment
    read: Moment
    last: Moment
    step: Moment


def left_gradients(facts: Facts) -> Iterator[Left]:
    """Two backwards since the gradients of a step were cleared. The first stands in a function that reads all of its
    gradients and has no step, the second elsewhere."""
    order = order_of(facts)
    if not any(moment.kind == "read" for moment in order.moments):
        return
    for optimizer, parameters in order.parameters.items():
        tensors = frozenset(parameters)
        for step in order.steps.get(optimizer, ()):
            backwards = _since_cleared(order, step, tensors)
            if len(backwards) != 2:
                continue
            last, first = backwards
            reading = facts.function(first.event.at.node)
            if reading is None or reading in [facts.function(one.event.at.node) for one in (last, step)]:
                continue
            reads = [
                moment
                for moment in order.between(first.number, last.number)
                if moment.kind == "read" and facts.function(moment.event.at.node) is reading
            ]
            filled = (first.tensors or frozenset()) & tensors
            if reads and filled and filled <= frozenset().union(*(moment.tensors or () for moment in reads)):
                yield Left(first, reads[0], last, step)


def _since_cleared(order: Order, step: Moment, tensors: frozenset[Tensor]) -> list[Moment]:
    """The backwards that fill gradients which a step applies, the last one first; none if it is not certain that these
    were cleared before, all together."""
    found: list[Moment] = []
    for moment in order.before(step, tensors):
        concerned = (moment.tensors or frozenset()) & tensors
        if moment.kind == "clear" and concerned:
            return found if concerned == tensors else []
        if moment.kind == "step" and concerned:
            return []
        if moment.kind == "backward" and concerned:
            found.append(moment)
    return []


def _stepped_between(
    order: Order, held: dict[Instance, frozenset[Tensor]], first: Moment, last: Moment, tensors: frozenset[Tensor]
) -> Moment | None:
    for moment in order.between(first.number, last.number):
        own = held.get(moment.event.value) if isinstance(moment.event.value, Instance) else None
        if moment.kind != "step" or own is None or own & tensors:
            continue
        if own & (first.tensors or frozenset()) and own & (last.tensors or frozenset()):
            later = (one for one in order.after(last, own) if one.kind != "read" and (one.tensors or frozenset()) & own)
            after = next(later, None)
            if after is not None and after.kind == "clear":
                return moment
    return None
