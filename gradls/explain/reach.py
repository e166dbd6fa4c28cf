"""Which parameters a gradient reaches, and what keeps it from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradls.explain.names import Names
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Tensor


@dataclass(frozen=True, slots=True)
class Reach:
    """What a gradient that begins somewhere reaches.

    `reached` are the leaves that it surely reaches, `missed` those on the way to which a cut stands, with that cut,
    `frozen` those that were used and did not require grad. `perhaps` are leaves that it may reach; `open`: it may reach
    others, too, of which nothing is known.
    """

    reached: tuple[Tensor, ...]
    missed: dict[Tensor, Node]
    frozen: tuple[Tensor, ...]
    perhaps: tuple[Tensor, ...]
    open: bool


def reach(root: Node) -> Reach:
    """What gradient from this node of the graph reaches."""
    reached = dict.fromkeys(_surely(root))
    perhaps = list(walk(root, follow="maybe"))
    others = dict.fromkeys(node.leaf for node in perhaps if node.leaf is not None and node.leaf not in reached)
    is_open = any(node.kind == "opaque" for node in perhaps)
    frozen: dict[Tensor, None] = {}
    for node in perhaps:
        for edge in node.edges:
            used = edge.node.leaf
            if used is not None and used.is_parameter and edge.flows is False and used not in reached:
                frozen[used] = None
    missed = {leaf: cut for leaf, cut in _behind_cuts(root) if leaf not in reached}
    return Reach(tuple(reached), missed, tuple(leaf for leaf in frozen if leaf not in missed), tuple(others), is_open)


def _surely(root: Node) -> list[Tensor]:
    """The leaves that gradient from `root` reaches, whichever branches were taken. What the gradient of something
    depends on is another matter: that of a linear function depends on nothing."""
    order = list(_flown(root))
    leaves = [node.leaf for node in order if node.leaf is not None]
    if not any(node.kind == "phi" for node in order):
        return leaves
    bits = {leaf: 1 << number for number, leaf in enumerate(leaves)}
    known: dict[Node, int] = {}
    todo = [root]
    while todo:
        node = todo[-1]
        if node in known:
            todo.pop()
            continue
        inner = [edge.node for edge in node.edges if edge.flows and not is_gradient(node)]
        missing = [each for each in inner if each not in known]
        if missing:
            todo += missing
            continue
        parts = [known[each] for each in inner]
        found = 0 if node.leaf is None else bits[node.leaf]
        if node.kind == "phi" and parts:
            both = -1 if len(parts) == len(node.edges) else 0
            for part in parts:
                both &= part
            found |= both
        else:
            for part in parts:
                found |= part
        known[todo.pop()] = found
    return [leaf for leaf in leaves if known[root] & bits[leaf]]


def is_gradient(node: Node) -> bool:
    """Is it a gradient that was computed with its graph?"""
    return node.op == "grad" and node.kind != "leaf"


def _flown(root: Node) -> Iterator[Node]:
    seen = {root}
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        for edge in reversed(node.edges):
            if edge.flows and edge.node not in seen and not is_gradient(node):
                seen.add(edge.node)
                todo.append(edge.node)


def _behind_cuts(root: Node) -> Iterator[tuple[Tensor, Node]]:
    """The leaves to which there is no way from `root` without a cut, each with the first cut on a way to it."""
    seen = {root}
    todo: list[Node] = [root]
    behind: list[tuple[Node, Node]] = []
    while todo:
        node = todo.pop()
        if node.cut is not None and node.cut.certain:
            behind.append((node, node))
            continue
        for edge in reversed(node.edges):
            if edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    while behind:
        node, cut = behind.pop()
        if node.leaf is not None and node.leaf.requires_grad and node is not cut:
            yield node.leaf, cut
        for edge in reversed(node.edges):
            if edge.node not in seen:
                seen.add(edge.node)
                behind.append((edge.node, cut))


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the parameters in play one `backward()` reaches. `missed`: those that it does not."""

    event: Event
    reached: tuple[Tensor, ...]
    missed: tuple[Tensor, ...]
    exact: bool
    """Both are known exactly."""
    found: Reach


def scores(facts: Facts) -> list[Score]:
    """One for each time that a `backward()` of the file runs of which the root is known, in order."""
    known: list[Score] | None = facts.memo.get("scores")
    if known is None:
        events = [event for event in facts.of("backward") if event.node is not None and event.method]
        known = facts.memo["scores"] = [_score(facts, event) for event in events if event.at.source is facts.source]
    return known


def _score(facts: Facts, event: Event) -> Score:
    assert event.node is not None
    names = Names.of(facts)
    found = reach(event.node)
    reached = found.reached
    if event.inputs:
        reached = tuple(leaf for leaf in reached if leaf in event.reached)
    used = {node.leaf: None for node in walk(event.node) if node.leaf is not None}
    # In play are the parameters of the models and the optimizers that hold some of what was used.
    parameters: dict[Tensor, None] = {}
    whole = True
    for module in names.modules:
        if module not in names.inside:
            own, all_of_it = names.parameters(module)
            if not used.keys().isdisjoint(own):
                parameters.update(dict.fromkeys(own))
                whole = whole and all_of_it
    for stepped in _held(facts).values():
        if not used.keys().isdisjoint(stepped):
            parameters.update(stepped)
    parameters.update((leaf, None) for leaf in used if leaf.is_parameter)
    hit = [leaf for leaf in parameters if leaf in reached]
    other = [leaf for leaf in reached if leaf not in parameters]
    unsure = found.open or any(leaf.is_parameter for leaf in found.perhaps)
    exact = whole and not unsure and not event.inputs and not any(map(names.is_vague, parameters))
    return Score(event, (*hit, *other), tuple(leaf for leaf in parameters if leaf not in reached), exact, found)


def _held(facts: Facts) -> dict[Instance, dict[Tensor, None]]:
    """What each optimizer is given."""
    known: dict[Instance, dict[Tensor, None]] | None = facts.memo.get("held by optimizers")
    if known is None:
        known = facts.memo["held by optimizers"] = {}
        for event in facts.of("optimizer-made", "group-added"):
            if isinstance(event.value, Instance):
                known.setdefault(event.value, {}).update(dict.fromkeys(event.parameters))
    return known
