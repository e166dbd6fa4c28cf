"""What gradient reaches in the autograd graph of the analysed program, and on which ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.flow.graph import Node

if TYPE_CHECKING:
    from gradls.flow.values import Tensor


def flow_of(node: Node) -> bool | None:
    """Does gradient go into a node?"""
    if node.leaf is not None:
        return node.leaf.requires_grad
    if node.kind == "opaque":
        return None
    flags = {edge.flows for edge in node.edges}
    return True if True in flags else None if None in flags else False


def walk(root: Node, *, follow: str = "all") -> Iterator[Node]:
    """The nodes from `root` backwards, each once: along `all` edges, those that carry gradient (`flow`), or those
    that may (`maybe`)."""
    seen = {root}
    todo = [root]
    everything, certain = follow == "all", follow == "flow"
    while todo:
        node = todo.pop()
        yield node
        for inner, flows, _, _ in node.edges[::-1]:
            if inner not in seen and (everything or flows or (flows is None and not certain)):
                seen.add(inner)
                todo.append(inner)


def leaves_of(node: Node) -> Iterator[Tensor]:
    """The leaves one of which a tensor with this node is, by branch."""
    seen = {node}
    todo = [edge.node for edge in reversed(node.edges)]
    while todo:
        inner = todo.pop()
        if inner in seen:
            continue
        seen.add(inner)
        if inner.kind == "phi":
            todo += [edge.node for edge in reversed(inner.edges)]
        elif inner.leaf is not None:
            yield inner.leaf


def frees_on_all_ways(root: Node) -> bool:
    """Does a backward from `root` free something, whichever ways it goes?"""
    seen = {root}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.frees is not False:
            continue
        inner = [edge.node for edge in node.edges if edge.flows is not False]
        if not inner:
            return False
        todo += [other for other in inner if other not in seen]
        seen.update(inner)
    return True


def certainly_reached(root: Node) -> frozenset[Tensor]:
    """The leaves that a backward from `root` comes to whichever branches were taken, if it does not raise."""
    nodes = sorted(walk(root, follow="maybe"), key=_birth)
    leaves = [node.leaf for node in nodes if node.leaf is not None]
    bits = {leaf: 1 << number for number, leaf in enumerate(leaves)}
    needed = _only_way(root)
    reached: dict[Node, int] = {}
    for node in nodes:
        branches = node.kind == "phi"
        edges = [edge for edge in node.edges if edge.flows is not False or (branches and node not in needed)]
        alone = len(edges) == 1 and node in needed
        marks = [reached.get(edge.node, 0) if edge.flows or alone else 0 for edge in edges if not node.get("custom")]
        found = marks.pop() if marks else 0
        for mark in marks:
            found = found & mark if branches else found | mark
        reached[node] = found if node.leaf is None else found | bits[node.leaf]
    return frozenset(leaf for leaf, bit in bits.items() if reached[root] & bit)


def _birth(node: Node) -> int:
    return node.born


def _only_way(root: Node) -> set[Node]:
    """The nodes from `root` on that all gradient goes through: if none flows into one, backward raises."""
    found: set[Node] = set()
    inner = [root]
    while len(inner) == 1 and inner[0] not in found and inner[0].kind in ("op", "phi"):
        found.add(inner[0])
        inner = [edge.node for edge in inner[0].edges if edge.flows is not False]
    return found


def way(root: Node, to: Node) -> list[Node]:
    """The nodes on the shortest way that gradient takes from `root` to another node, both included."""
    before: dict[Node, Node | None] = {root: None}
    todo = [root]
    for node in todo:
        if node is to:
            break
        for edge in node.edges:
            if edge.flows and edge.node not in before:
                before[edge.node] = node
                todo.append(edge.node)
    found: list[Node] = []
    step: Node | None = to
    while step is not None:
        found.append(step)
        step = before.get(step)
    return found[::-1]


MOST_TERMS = 200
"""Sums whose terms are such sums again have exponentially many."""


def terms(root: Node) -> dict[Node, int]:
    """How often each term stands in the sum `root`: 0 where it cancels itself. Only terms that gradient flows to; what
    stands for several tensors does not cancel, and nothing does in a sum of very many. What was computed twice from
    the same values is one term."""
    found: dict[Node, int] = {}
    formulas: list[tuple[tuple[object, ...], Node]] = []
    todo = [(root, 1)]
    for _ in range(MOST_TERMS):
        if not todo:
            return found
        node, count = todo.pop()
        flowing = [edge for edge in node.edges if edge.flows is not False]
        if flowing and all(edge.sign for edge in flowing):
            todo += [(edge.node, count * edge.sign) for edge in flowing]
        else:
            node = _computed_before(node, formulas)
            found[node] = 1 if node.several else found.get(node, 0) + count
    return {edge.node: 1 for edge in root.edges if edge.flows is not False}


def _computed_before(node: Node, formulas: list[tuple[tuple[object, ...], Node]]) -> Node:
    """The term among those seen so far that was computed in the same way, or the node itself, which is seen now."""
    formula = node.get("formula")
    if formula is None:
        return node
    for other, term in formulas:
        if len(other) == len(formula) and all(
            one is two or (isinstance(one, str) and one == two) for one, two in zip(other, formula, strict=True)
        ):
            return term
    formulas.append((formula, node))
    return node


def leaves(root: Node, *, follow: str = "flow") -> list[Tensor]:
    """The leaves that gradient from `root` reaches (or with `follow="all"`: that its value depends on)."""
    return [node.leaf for node in walk(root, follow=follow) if node.leaf is not None]


DISCRETE = "discrete"
"""The slot of nodes without a derivative whatever the grad mode, where gradients were off: `argmax` under no_grad()."""


def frontier(root: Node, *, flat: bool = False, behind_discrete: bool = True) -> list[Node]:
    """The cuts met first on the way back from `root`; if `flat`, operations whose gradient is zero count as such. Cuts
    `behind_discrete` results cost no gradient themselves."""
    found = []
    seen = {root}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.cut is not None or (flat and node.zero):
            found.append(node)
            continue
        for inner, _, _, _ in node.edges[::-1] if behind_discrete or not node.get(DISCRETE) else ():
            if inner not in seen:
                seen.add(inner)
                todo.append(inner)
    return found


def lost_leaves(cut: Node) -> list[Tensor]:
    """The leaves whose gradient ends at `cut`: those that its inputs would have reached. Behind a draw from a
    distribution that has no gradient by any means, there are none."""
    found: list[Tensor] = []
    seen: set[Node] = set()
    for given in cut.edges:
        todo = [] if given.node in seen else [given.node]
        seen.update(todo)
        while todo:
            node = todo.pop()
            if node.leaf is not None and node.leaf.requires_grad:
                found.append(node.leaf)
                if node.leaf.is_parameter and node.kind == "leaf":
                    continue  # There it ends, whatever the first values were computed from.
            for inner, _, _, _ in () if node.get("drawn") else node.edges[::-1]:
                if inner not in seen:
                    seen.add(inner)
                    todo.append(inner)
    return list(dict.fromkeys(found))
