"""What backward computes and nobody uses: gradients that no optimizer applies, and where they could be cut off."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules.training_order import Moment, order_of, outermost


@dataclass(slots=True)
class Fate:
    """What becomes of the gradients that one call of backward computes, over all rounds: of leaves that are `applied`,
    and of those that are `thrown` away, cleared or never looked at. `events`: that call, by round; `cleared`: what
    cleared the first that were."""

    events: list[Event] = field(default_factory=list)
    applied: set[Tensor] = field(default_factory=set)
    thrown: set[Tensor] = field(default_factory=set)
    cleared: Event | None = None


def fates(facts: Facts, used: bool = True) -> list[Fate]:
    """One for each call of backward of which something is applied, or of which nothing is; none if not all is known of
    the optimizers."""
    found: list[Fate] | None = facts.memo.get("fates")
    if found is None:
        found = facts.memo["fates"] = _fates(facts)
    return [fate for fate in found if bool(fate.applied) is used]


def _fates(facts: Facts) -> list[Fate]:
    order = order_of(facts)
    made = list(facts.of("optimizer-made", "group-added"))
    if not made or any(event.strange for event in made):
        return []
    perhaps = {tensor for event in made for tensor in event.perhaps}
    held = {tensor for tensors in order.parameters.values() for tensor in tensors}
    moments = [moment for moment in order.moments if not _is_test(facts, moment)]
    if any(moment.kind in ("step", "backward") and moment.tensors is None for moment in moments):
        return []
    together: dict[object, list[Moment]] = {}
    for moment in moments:
        together.setdefault(outermost(moment.event), []).append(moment)
    found: dict[ast.AST, Fate] = {}
    for inside in together.values():
        for position, moment in enumerate(inside, 1):
            event = moment.event
            if moment.kind == "backward" and not event.inputs and event.node is not None:
                fate = found.setdefault(event.at.node, Fate())
                fate.events.append(event)
                _follow(fate, event, inside[position:], held, perhaps)
    return list(found.values())


def _is_test(facts: Facts, moment: Moment) -> bool:
    """Is a gradient only compared with something, such as None?"""
    return moment.kind == "read" and isinstance(facts.parent(moment.event.at.node), ast.Compare)


def _follow(fate: Fate, event: Event, later: list[Moment], held: set[Tensor], perhaps: set[Tensor]) -> None:
    """Add to `fate` what becomes of it `later`. Of the leaves that some optimizer has `perhaps`, nothing is known."""
    pending = {leaf for leaf in event.reached if leaf.requires_grad and leaf not in perhaps}
    for moment in later:
        if not pending:
            return
        there = pending if moment.tensors is None else pending & moment.tensors
        if moment.kind in ("step", "read"):
            fate.applied |= there
        elif moment.kind == "clear":
            fate.thrown |= there
            fate.cleared = fate.cleared or (moment.event if there else None)
        if moment.kind != "backward":
            pending = pending - there
    # Who calls a function that nobody in the file calls may step what it leaves behind.
    fate.thrown |= {leaf for leaf in pending if not event.alone or leaf not in held}


def cut_points(facts: Facts, fate: Fate, within: bool = False) -> Iterator[tuple[Node, list[Tensor]]]:
    """The values through which gradient goes only to parameters whose gradient is thrown away, each with those.
    `within`: also those that are computed in the `forward` of a module."""
    thrown = {leaf for leaf in fate.thrown - fate.applied if leaf.is_parameter and not _is_shared(leaf)}
    root = fate.events[0].node
    if not thrown or root is None:
        return
    nodes = list(walk(root, follow="maybe"))
    useful = _useful(nodes, thrown)
    todo, seen = [root] if root in useful else [], {root}
    while todo:
        node = todo.pop()
        for edge in node.edges:
            if edge.flows is False or edge.node in seen:
                continue
            seen.add(edge.node)
            if edge.node in useful or edge.node.kind == "phi":
                todo.append(edge.node)
            elif edge.flows and edge.node.leaf is None and (within or is_outside(facts, edge.node)):
                behind = [leaf.leaf for leaf in walk(edge.node, follow="flow") if leaf.leaf in thrown]
                yield edge.node, [leaf for leaf in behind if leaf is not None]


def _useful(nodes: list[Node], thrown: set[Tensor]) -> set[Node]:
    """Those of `nodes` from which gradient may come to anything else than `thrown`."""
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for edge in node.edges:
            if edge.flows is not False:
                users.setdefault(edge.node, []).append(node)
    todo = [node for node in nodes if node.kind == "opaque" or (node.leaf is not None and node.leaf not in thrown)]
    useful = set(todo)
    while todo:
        for user in users.get(todo.pop(), ()):
            if user not in useful:
                useful.add(user)
                todo.append(user)
    return useful


def _is_shared(leaf: Tensor) -> bool:
    """May code that is not seen use the gradient of a parameter?"""
    return bool(leaf.fields.get("*escaped") or (leaf.owner is not None and leaf.owner.fields.get("*escaped")))


def is_outside(facts: Facts, node: Node) -> bool:
    """Is a value computed from data, outside of the `forward` of a module: is it one that its user could detach?"""
    if node.at is None or node.at.source is not facts.source:
        return False
    function = facts.function(node.at.node)
    if function is not None and function.name in ("forward", "__call__"):
        return False
    return any(_is_data(part) for part in walk(node))


def _is_data(node: Node) -> bool:
    if node.kind == "opaque":
        return True
    return node.leaf is not None and not node.leaf.is_parameter and node.op != "buffer"
