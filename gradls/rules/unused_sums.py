"""Sums of losses that nobody reads, but as numbers, while one of their terms is propagated."""

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
from gradls.rules.finding import Place
from gradls.rules.scopes import mentions, names_in, scope_of
from gradls.rules.words import place
from gradls.syntax.source import Source


class UnusedSum(NamedTuple):
    place: Place
    """Where the sum is assigned to an attribute or a name."""
    name: str
    is_number: bool
    """Is it read, as a number?"""
    backward: Event
    """The backward of one of its terms."""


def unused_sums(facts: Facts) -> Iterator[UnusedSum]:
    """The sums of what a backward propagates and of a term that no backward does."""
    backwards = [event for event in facts.of("backward") if event.node is not None]
    if not backwards:
        return
    kept: dict[ast.AST, tuple[Place, str, bool, Node]] = {}
    for event in facts.of("attribute-set"):
        value = _loss(event.assigned)
        if value is not None and isinstance(event.value, Instance) and not _may_be_read(facts, event):
            kept[event.at.node] = (place(event.at), event.name, False, value.node)
    for event in facts.of("to-number"):
        value = _loss(event.value)
        target = _only_number(facts, value.node) if value is not None else None
        if value is not None and target is not None:
            kept[target] = (Place(facts.source_of(target), target), target.id, True, value.node)
    if not kept:
        return
    propagated: set[Node] = set()
    for event in backwards:
        assert event.node is not None
        propagated.update(walk(event.node, follow="flow"))
    for where, name, is_number, node in kept.values():
        terms = list(_terms(node))
        backward = next((one for one in backwards if one.node in terms), None)
        single = [term for term in terms if not any(edge.sign for edge in term.edges)]
        left_out = [term for term in single if propagated.isdisjoint(_scaled(term)) and _has_gradient(term)]
        if backward is not None and left_out and node not in propagated:
            yield UnusedSum(where, name, is_number, backward)


def _loss(value: object) -> Tensor | None:
    return value if isinstance(value, Tensor) and value.requires_grad is True else None


def _only_number(facts: Facts, node: Node) -> ast.Name | None:
    """The name that a sum gets where it is computed, if all that is done with it is to read its number."""
    if not any(edge.sign for edge in node.edges):
        return None
    made = node.at
    statement = facts.parent(made.node) if made is not None and made.source is facts.source else None
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(target, ast.Name):
        return None
    uses = [one for one in names_in(facts.source, scope_of(facts, target), target.id) if one is not target]
    return target if all(_reads_number(facts, use) for use in uses) else None


def _reads_number(facts: Facts, use: ast.Name) -> bool:
    method = facts.parent(use)
    return isinstance(method, ast.Attribute) and method.attr in ("item", "detach", "tolist")


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
