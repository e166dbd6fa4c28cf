"""Losses of what was cut off from an unknown network that the program trains: `criterion(model(x).detach(), y)`."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost
from gradls.flow.reach import frontier, walk
from gradls.flow.sources import is_call, sources
from gradls.flow.unknown_modules import asks_to_train
from gradls.rules.loss_arguments import used_as_module
from gradls.rules.unknown_networks import network_of, root_of


def before_criteria(facts: Facts) -> list[Lost]:
    """The cuts between such a network and an unknown function of its output and of data that gives the loss. That
    function may have parameters of its own; nothing says so."""
    found: list[Lost] | None = facts.memo.get("before-criteria")
    if found is None:
        found = facts.memo["before-criteria"] = list(facts.each(_in_chapter))
    return found


def _in_chapter(facts: Facts) -> Iterator[Lost]:
    for event, stop, by_unknown in stops(facts):
        if stop.cut is not None and by_unknown:
            yield Lost(stop, event, (), "criterion")


def stops(facts: Facts) -> Iterator[tuple[Event, Node, bool]]:
    """For each backward that has no way to an unknown network but through what stops its gradient: what does so. The
    last says whether something unknown computes the loss."""
    for event in facts.of("backward"):
        root = root_of(event)
        ends = sources(root, beyond=False) if root is not None else None
        if root is None or ends is None or ends.others or ends.arguments or len(ends.calls) > 1:
            continue
        starts = [root]
        if ends.calls:
            starts = [edge.node for edge in ends.calls[0].edges]
            given = [sources(one, beyond=False) for one in starts]
            if used_as_module(network_of(ends.calls[0])) or any(one.calls or one.others for one in given):
                continue
        found = [node for start in starts for node in frontier(start, flat=True)]
        trained = next((stop for stop in found if any(_is_trained(node) for node in walk(stop))), None)
        if trained is not None:
            yield event, trained, bool(ends.calls)


def _is_trained(node: Node) -> bool:
    """Is this what a network gave that the program trains?"""
    return is_call(node) and asks_to_train(network_of(node))
