"""Which parameters of zeros stay zeros, because each gets its gradient multiplied by another of them."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.graph import Edge, Node
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules.loss_activations import KEEP

_PRODUCTS = frozenset((
    "matmul", "mm", "bmm", "mul", "linear", "mv", "dot", "outer", "__matmul__", "__rmatmul__", "__mul__", "__rmul__",
))  # fmt: skip
_OF_ZERO = KEEP | frozenset(("mul", "div", "scale", "neg", "relu", "tanh", "gelu", "silu", "dropout", "sum", "mean"))
"""Operations on one tensor that make zeros of zeros."""


def stuck_zeros(root: Node, zero: set[Tensor]) -> set[Tensor]:
    """Those of the leaves in `zero`, which hold nothing but zeros, that a backward from `root` gives gradients of zero,
    and all later ones, too: what gets another gradient holds no zeros any more after the first step."""
    while len(zero) > 1:
        alive = set(_reached(root, _zero_nodes(root, zero))) & zero
        if not alive:
            return zero
        zero = zero - alive
    return set()


def is_handed(leaf: Tensor) -> bool:
    """May other code write something else into it?"""
    return bool(leaf.fields.get("*escaped") or (leaf.owner is not None and leaf.owner.fields.get("*escaped")))


def _factors(node: Node) -> tuple[Edge, ...]:
    """The two edges of a product; for the layer function its third is the bias."""
    return node.edges[:2] if node.op in _PRODUCTS and len(node.edges) > 1 else ()


def _zero_nodes(root: Node, zero: set[Tensor]) -> set[Node]:
    """The nodes behind `root` whose values are zeros because those of the leaves are."""
    found: set[Node] = {leaf.node for leaf in zero}
    for node in sorted(walk(root, follow="flow"), key=lambda one: one.born):
        if node.kind != "op":
            continue
        if len(node.edges) == 1:
            is_zero = node.op in _OF_ZERO and node.edges[0].node in found
        else:
            is_zero = len(node.edges) == 2 and any(edge.node in found for edge in _factors(node))
        if is_zero:
            found.add(node)
    return found


def _reached(root: Node, zero: set[Node]) -> Iterator[Tensor]:
    """The leaves that a gradient comes to which is not multiplied by zeros."""
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        if node.leaf is not None:
            yield node.leaf
        factors = _factors(node)
        for edge in node.edges:
            multiplied = any(other.node in zero for other in factors if other is not edge) if edge in factors else False
            if edge.flows is not False and not multiplied and edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
