"""Sums of losses that an object keeps and nobody reads, while one of their terms is propagated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import SCALING
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Tensor


class UnusedSum(NamedTuple):
    kept: Event
    """Where the sum is assigned to an attribute."""
    backward: Event
    """The backward of one of its terms."""


def unused_sums(facts: Facts) -> Iterator[UnusedSum]:
    """The sums of what a backward propagates and of a term that no backward does."""
    backwards = [event for event in facts.of("backward") if event.node is not None]
    kept = [event for event in facts.of("attribute-set") if _is_loss(event)] if backwards else []
    kept = [event for event in kept if not any(True for _ in facts.reads(event.name))]
    if not kept:
        return
    propagated: set[Node] = set()
    for event in backwards:
        assert event.node is not None
        propagated.update(walk(event.node, follow="flow"))
    for event in {event.at.node: event for event in kept}.values():
        terms = list(_terms(event.assigned.node))
        backward = next((one for one in backwards if one.node in terms), None)
        left_out = [term for term in terms if propagated.isdisjoint(_scaled(term)) and _has_gradient(term)]
        if backward is not None and left_out:
            yield UnusedSum(event, backward)


def _is_loss(event: Event) -> bool:
    value = event.assigned
    return isinstance(event.value, Instance) and isinstance(value, Tensor) and value.requires_grad is True


def _terms(node: Node) -> Iterator[Node]:
    """What a sum adds up, and the sums in it."""
    for edge in node.edges:
        if edge.sign:
            yield edge.node
            yield from _terms(edge.node)


def _scaled(node: Node) -> Iterator[Node]:
    """A term, and what it is a multiple of."""
    yield node
    for edge in node.edges if node.op in SCALING else ():
        if edge.flows is not False:
            yield from _scaled(edge.node)


def _has_gradient(node: Node) -> bool:
    return any(part.leaf is not None and part.leaf.requires_grad for part in walk(node, follow="flow"))
