"""Parts of a model that no gradient reaches from what its forward returns, in files that do not train it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from gradls.flow.contents import is_plain, tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, frontier, lost_leaves, walk
from gradls.flow.lost import Lost
from gradls.flow.values import Function, Tensor, Unknown, Value
from gradls.rules.training_order import outermost

_KINDS = frozenset(("detach", "data", "no_grad", "integer", "no_derivative", "number", "numpy"))
"""The cuts that may be made by mistake in a forward. What an action or a new leaf costs is told elsewhere."""
_LEAKS = ("return", "attribute-set", "unknown-call", "backward", "grad-call")


def cut_in_forward(facts: Facts) -> list[Lost]:
    """The cuts in a `forward` that nobody in the file calls, behind which there are parameters that get a gradient from
    nothing that the class computes, while others get one."""
    found: list[Lost] | None = facts.memo.get("cut-in-forward")
    if found is None:
        found = facts.memo["cut-in-forward"] = list(_all(facts))
    return found


def _all(facts: Facts) -> Iterator[Lost]:
    found = list(facts.each(_in_chapter))
    reached = set(facts.each(_reached)) if found else set()
    for lost in found:
        leaves = tuple(leaf for leaf in lost.leaves if leaf not in reached)
        if leaves:
            yield replace(lost, leaves=leaves)


def _in_chapter(facts: Facts) -> Iterator[Lost]:
    returned = [event for event in facts.of("return") if _is_of_forward(event)]
    if (
        not returned
        or facts.unfinished
        or not all(_is_known(part) for value in _given_away(facts) for part in tensors_in(value))
    ):
        return
    reached = set(_reached(facts))
    found: dict[ast.AST, Lost] = {}
    for event in returned if reached else ():
        for root in _roots(event.value):
            for node in frontier(root):
                cut = node.cut
                if cut is None or not _may_be_a_mistake(facts, node):
                    continue
                known = found.get(cut.at.node)
                lost = [leaf for leaf in lost_leaves(node) if leaf.is_parameter and leaf not in reached]
                leaves = tuple(dict.fromkeys((*(known.leaves if known else ()), *lost)))
                if leaves:
                    found[cut.at.node] = Lost(known.cut if known else node, event, leaves, "forward")
    yield from found.values()


def _reached(facts: Facts) -> Iterator[Tensor]:
    """The parameters to which something that leaves a function has a gradient."""
    for root in {root for value in _given_away(facts) for root in _roots(value)}:
        for node in walk(root, follow="maybe"):
            if node.leaf is not None and node.leaf.is_parameter:
                yield node.leaf


def _is_of_forward(event: Event) -> bool:
    function = event.function
    return isinstance(function, Function) and function.name == "forward" and outermost(event) is function


def _given_away(facts: Facts) -> Iterator[Value]:
    """What leaves the methods of the class: what they return, keep, and hand to unknown code."""
    for event in facts.of(*_LEAKS):
        if event.kind == "unknown-call":
            yield from event.arguments
        elif event.kind == "attribute-set":
            yield event.assigned
        elif event.value is not None:
            yield event.value


def _is_known(value: Value) -> bool:
    """Is it known what this depends on?"""
    return isinstance(value, Tensor) or is_plain(value) or (isinstance(value, Unknown) and ("node",) in value.fields)


def _roots(value: Value | None) -> Iterator[Node]:
    for part in tensors_in(value) if value is not None else ():
        if isinstance(part, Tensor):
            yield part.node
        elif isinstance(part, Unknown) and ("node",) in part.fields:
            yield part.fields["node",]


def _may_be_a_mistake(facts: Facts, node: Node) -> bool:
    """Is this certainly a cut, in this file, of what is computed? Of a parameter itself only the value is wanted."""
    cut = node.cut
    if cut is None or cut.kind not in _KINDS or not cut.certain or cut.at.source is not facts.source:
        return False
    return cut.kind == "no_grad" or not any(edge.node.leaf is not None for edge in node.edges)
