"""Derivatives in the residual of a differential equation that have no gradient beside others that have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.reach import MOST_TERMS, frontier, lost_leaves
from gradls.flow.values import Tensor

ADDITIVE = frozenset(("add", "sub", "rsub", "__rsub__", "neg", "radd", "scale"))
"""Operations whose operands are terms of the result."""

_SIZES = frozenset(
    ("pow", "square", "abs", "norm", "vector_norm", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
)
"""What a residual goes into, so that all its terms count for the gradient of each."""


def lost_derivatives(facts: Facts, root: Node, reached: Iterable[Tensor], dead: Iterable[Node]) -> set[Node]:
    """The derivatives with respect to data, taken without a graph, that are terms of a residual in the loss `root`:
    that has a gradient by its other terms, for the same parameters. A weight is a factor, and no such term. And those
    that are all there is in a term of the loss, one of the `dead` ones: the forces of a potential, say."""
    trained = set(reached)
    return {
        cut
        for term in (*_dead_parts(root), *dead)
        for cut in frontier(term)
        if cut.cut is not None
        and cut.cut.kind == "grad"
        and _is_by_data(facts, cut)
        and not trained.isdisjoint(lost_leaves(cut))
    }


def _dead_parts(root: Node) -> Iterator[Node]:
    """The terms without a gradient of sums whose size is a loss."""
    todo, seen = [(root, False)], {root}
    while todo and len(seen) < MOST_TERMS:
        node, inside = todo.pop()
        live = [edge.node for edge in node.edges if edge.flows is not False]
        if node.op in ADDITIVE:
            if inside and live:
                yield from (edge.node for edge in node.edges if edge.flows is False)
        elif len(live) != 1 and node.op not in _SIZES:
            continue  # a factor
        for part in live:
            if part not in seen:
                seen.add(part)
                todo.append((part, inside or node.op in _SIZES))


def _is_by_data(facts: Facts, cut: Node) -> bool:
    """Is it a derivative with respect to what is put into a network, as by time or place?"""
    assert cut.cut is not None
    calls = [event for event in facts.of("grad-call") if event.at == cut.cut.at]
    targets = [target for event in calls for target in event.targets]
    return bool(targets) and all(
        isinstance(one, Tensor) and one.leaf is True and not one.is_parameter for one in targets
    )
