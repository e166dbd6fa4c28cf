"""Which of the tensors that a value is by branch it is where something was done on one of the branches."""

from __future__ import annotations

from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge, Node
from gradls.flow.paths import Path, compatible, meets
from gradls.flow.reach import walk
from gradls.flow.values import Tensor, Value

WAYS = "ways"
"""Of a node that is one of others by branch: by the other, the paths on which it is that one."""
Ways = dict[Node, tuple[Path | None, ...]]
MOST_LOOKED_AT = 100


def ways_of(values: list[object], paths: list[Path | None]) -> Ways:
    """By the node of each tensor in values, one for each branch, the paths of those branches that it is in."""
    found: Ways = {}
    for value, path in zip(values, paths, strict=True):
        parts = value[:MOST_LOOKED_AT] if isinstance(value, tuple) else (value,)
        nodes = [part for part in parts if isinstance(part, Node)]
        for part in parts:
            if isinstance(part, Value):
                nodes += [tensor.node for tensor in tensors_in(part) if isinstance(tensor, Tensor)]
        for node in dict.fromkeys(nodes):
            found[node] = (*found.get(node, ()), path)
    return found


def remember(phi: Node, others: list[Node], ways: Ways) -> None:
    """Note on which paths a new node is each of the others, as far as that is known."""
    known = {other: ways[other] for other in others if other in ways}
    if known:
        phi.fields[WAYS] = known


def way_on(root: Node, to: Node, *paths: Path | None) -> list[Node]:
    """The nodes on the shortest way that gradient takes from `root` to another node in a run that takes these paths,
    both included; empty if it does not come there.

    What comes back in some round (see `Again`) does so whatever else is asked in the rounds between: gradient has to
    come there whatever that gives.
    """
    allowed: set[Node] | None = None
    if len(paths) > 1 and not meets(paths[-1], paths[0], plainly=True):
        allowed = _leading_to(root, to, paths)
        if root not in allowed:
            return []
    before: dict[Node, Node | None] = {root: None}
    todo = [root]
    for node in todo:
        if node is to:
            break
        for edge in _taken(node, paths):
            if edge.flows and edge.node not in before and (allowed is None or edge.node in allowed):
                before[edge.node] = node
                todo.append(edge.node)
    found: list[Node] = []
    step: Node | None = to if to in before else None
    while step is not None:
        found.append(step)
        step = before[step]
    return found[::-1]


def _leading_to(root: Node, to: Node, paths: tuple[Path | None, ...]) -> set[Node]:
    """The nodes from which gradient comes to another one, whichever branches are taken besides those of the paths."""
    found = {to}
    for node in sorted(walk(root, follow="flow"), key=_birth):
        leads = [bool(edge.flows) and edge.node in found for edge in _taken(node, paths)]
        if leads and (all(leads) if node.kind == "phi" else any(leads)):
            found.add(node)
    return found


def _birth(node: Node) -> int:
    return node.born


def _taken(node: Node, paths: tuple[Path | None, ...]) -> tuple[Edge, ...]:
    """The edges along which gradient may flow on these paths."""
    ways: Ways = node.get(WAYS) or {}
    return tuple(edge for edge in node.edges if _is_taken(ways.get(edge.node), paths)) if ways else node.edges


def _is_taken(ways: tuple[Path | None, ...] | None, paths: tuple[Path | None, ...]) -> bool:
    return ways is None or any(all(compatible(way, path) for path in paths) for way in ways)
