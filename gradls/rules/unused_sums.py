"""Sums of losses that an object keeps and nobody reads, while one of their terms is propagated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts, attributes_read
from gradls.flow.graph import Node
from gradls.flow.hierarchy import has_unknown_base, linearize
from gradls.flow.lost import SCALING
from gradls.flow.reach import walk
from gradls.flow.values import Class, Instance, Tensor
from gradls.rules.scopes import mentions
from gradls.syntax.source import Source


class UnusedSum(NamedTuple):
    kept: Event
    """Where the sum is assigned to an attribute."""
    backward: Event
    """The backward of one of its terms."""


def unused_sums(facts: Facts) -> Iterator[UnusedSum]:
    """The sums of what a backward propagates and of a term that no backward does."""
    backwards = [event for event in facts.of("backward") if event.node is not None]
    kept = [event for event in facts.of("attribute-set") if _is_loss(event)] if backwards else []
    kept = [event for event in kept if not _may_be_read(facts, event)]
    if not kept:
        return
    propagated: set[Node] = set()
    for event in backwards:
        assert event.node is not None
        propagated.update(walk(event.node, follow="flow"))
    for event in {event.at.node: event for event in kept}.values():
        terms = list(_terms(event.assigned.node))
        backward = next((one for one in backwards if one.node in terms), None)
        single = [term for term in terms if not any(edge.sign for edge in term.edges)]
        left_out = [term for term in single if propagated.isdisjoint(_scaled(term)) and _has_gradient(term)]
        if backward is not None and left_out:
            yield UnusedSum(event, backward)


def _is_loss(event: Event) -> bool:
    value = event.assigned
    return isinstance(event.value, Instance) and isinstance(value, Tensor) and value.requires_grad is True


def _may_be_read(facts: Facts, event: Event) -> bool:
    """Does the file, or one of a class of the object, read the attribute, perhaps by a name that it builds?"""
    cls = event.value.cls if isinstance(event.value, Instance) else None
    if not isinstance(cls, Class) or has_unknown_base(cls):
        return True
    sources = {facts.source, *(base.source for base in linearize(cls) if isinstance(base, Class))}
    return any(attributes_read(source, event.name) or _reads_by_text(source, event.name) for source in sources)


def _reads_by_text(source: Source, name: str) -> bool:
    """`getattr(self, "loss_" + key)`, `vars(self)` and `self.__dict__`."""
    if mentions(source, "vars") or mentions(source, "__dict__"):
        return True
    for mention in mentions(source, "getattr"):
        call = source.parent(mention)
        key = call.args[1] if isinstance(call, ast.Call) and len(call.args) > 1 else None
        if not isinstance(key, ast.Constant) or key.value == name:
            return True
    return False


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
