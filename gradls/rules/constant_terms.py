"""Terms of a loss that are cut off as a whole, and of which it is not known whether they had a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import ADDITIVE, SCALING, Lost, dead_terms, lost_gradients
from gradls.flow.operations import NUMBERS_IN
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.sources import is_call
from gradls.flow.unknown_modules import asks_to_train
from gradls.rules.unknown_networks import network_of, root_of

_CUTS = frozenset(("detach", "data", "number"))


def constant_terms(facts: Facts) -> list[Lost]:
    """The cuts that make a constant of what was computed with something that the program trains, and that nothing else
    is done with: added to a loss, it says nothing."""
    found: list[Lost] | None = facts.memo.get("constant-terms")
    if found is None:
        found = facts.memo["constant-terms"] = list(_all(facts))
    return found


def _all(facts: Facts) -> Iterator[Lost]:
    roots = [(event, root_of(event)) for event in facts.of("backward") if not event.info.get("gradient")]
    if not roots:
        return
    told = {node for lost in lost_gradients(facts) for node in (lost.cut, *lost.others)}
    reached = {node for _, root in roots if root is not None for node in walk(root, follow="maybe")}
    for event, root in roots:
        if root is None or root.scalar is False or event.requires_grad is False:
            continue
        for term in (*dead_terms(root, settings=True), *_numbers(root)):
            cut = _cut_of(term)
            if cut is None or cut in told or any(edge.node in reached for edge in cut.edges):
                continue
            if any(_is_trained(node) for node in walk(cut, follow="all")):
                told.add(cut)
                yield Lost(cut, event, (), "constant")
        yield from _switched_off(event, root, told)


def _switched_off(event: Event, root: Node, told: set[Node]) -> Iterator[Lost]:
    """The terms that are computed with gradients switched off, of parameters that the same loss trains otherwise."""
    trained = set(event.info.get("reached") or ())
    for term in dead_terms(root) if trained else ():
        cuts = frontier(term)
        if not cuts or not all(cut.cut is not None and cut.cut.kind == "no_grad" and cut.cut.certain for cut in cuts):
            continue
        leaves = tuple(leaf for cut in cuts for leaf in lost_leaves(cut) if leaf in trained and leaf.is_parameter)
        if leaves and told.isdisjoint(cuts):
            told.update(cuts)
            yield Lost(cuts[0], event, tuple(dict.fromkeys(leaves)), "constant", tuple(cuts[1:]))


def _numbers(root: Node) -> Iterator[Node]:
    """The numbers that are terms of a sum with something unknown, or multiples of an option of the program."""
    todo, seen = [root], {root}
    while todo:
        node = todo.pop()
        scaled = node.op in SCALING and all(_is_option(edge.node) for edge in node.edges)
        if scaled or node.op in ADDITIVE:
            yield from node.get(NUMBERS_IN, ())
        if node.op in ADDITIVE or node.kind == "phi":
            inner = [edge.node for edge in node.edges if edge.flows is not False and edge.node not in seen]
            seen.update(inner)
            todo += inner


def _is_option(node: Node) -> bool:
    return node.kind == "opaque" and node.op in ("attribute", "argument", "item")


def _cut_of(term: Node) -> Node | None:
    """The cut that a term is, or a multiple of."""
    for _ in range(4):
        if term.cut is not None:
            return term if term.cut.kind in _CUTS else None
        inner = [edge.node for edge in term.edges if edge.flows is False] if term.op in SCALING else []
        if len(inner) != 1:
            return None
        term = inner[0]
    return None


def _is_trained(node: Node) -> bool:
    """Is it a parameter, or what an unknown model gave that the program trains?"""
    if node.leaf is not None:
        return node.leaf.is_parameter and node.leaf.requires_grad is True
    return is_call(node) and asks_to_train(network_of(node))
