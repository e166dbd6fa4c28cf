"""Cuts that cost part of a gradient: beside a way that it still takes, and numbers that were read before training."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost, backwards
from gradls.flow.paths import before_loop
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.residuals import ADDITIVE
from gradls.flow.values import Tensor
from gradls.rules.training_order import loops_of


def partial_cuts(facts: Facts) -> list[Lost]:
    """Terms of sums within a network that pass on no gradient beside others that do ("beside"), and numbers that are
    read out of what is trained before the loop that trains it ("before")."""
    found: list[Lost] | None = facts.memo.get("partial-cuts")
    if found is None:
        found = facts.memo["partial-cuts"] = list(_all(facts))
    return found


def _all(facts: Facts) -> Iterator[Lost]:
    told: set[Node] = set()
    steps = list(facts.of("step"))
    for event in backwards(facts):
        root = event.node
        assert root is not None
        cuts = [cut for cut in frontier(root) if cut.cut is not None and cut.cut.certain and cut not in told]
        switched = {cut for cut in cuts if cut.cut is not None and cut.cut.kind == "no_grad" and _is_of_layer(cut)}
        for cut in _beside_ways(root, switched) if switched else ():
            told.add(cut)
            yield Lost(cut, event, tuple(lost_leaves(cut)), "beside")
        for cut in cuts:
            if cut.cut is not None and cut.cut.kind == "number" and before_loop(event.path, cut.path):
                leaves = lost_leaves(cut)
                if leaves and _is_of_parameter(cut) and any(_trains(step, event, leaves) for step in steps):
                    told.add(cut)
                    yield Lost(cut, event, tuple(leaves), "before")


def _is_of_layer(cut: Node) -> bool:
    """Is it what a frozen layer makes of something that has a gradient?"""
    frozen = any(edge.node.leaf is not None and edge.node.leaf.owner is not None for edge in cut.edges)
    return frozen and any(edge.node.leaf is None and edge.flows is not None for edge in cut.edges)


def _beside_ways(root: Node, cuts: set[Node]) -> Iterator[Node]:
    """Those of the cuts that are terms of a sum in which another term passes gradient to the very same input."""
    for node in walk(root, follow="flow"):
        if node.op not in ADDITIVE:
            continue
        live = [edge.node for edge in node.edges if edge.flows]
        for edge in node.edges:
            if live and edge.flows is False and edge.node in cuts and lost_leaves(edge.node):
                inputs = {given.node for given in edge.node.edges if given.node.leaf is None}
                if any(not inputs.isdisjoint(walk(one, follow="flow")) for one in live):
                    yield edge.node


_OF_ONE = frozenset((
    "exp", "log", "sigmoid", "softplus", "tanh", "relu", "abs", "neg", "sqrt", "square", "pow", "clamp", "mul", "div",
    "add", "sub", "softmax", "sum", "mean", "max", "min", "clone", "view", "reshape", "squeeze", "getitem",
))  # fmt: skip
"""Operations that make a number of a parameter, and not of data that it is applied to."""


def _is_of_parameter(cut: Node) -> bool:
    """Is a number computed of one leaf, and of nothing else?"""
    node = cut
    while len(node.edges) == 1:
        node = node.edges[0].node
        if node.leaf is not None:
            return True
        if node.op not in _OF_ONE:
            return False
    return False


def _trains(step: Event, backward: Event, leaves: list[Tensor]) -> bool:
    return not step.trained.isdisjoint(leaves) and bool(loops_of(step.path) & loops_of(backward.path))
