"""Graphs of what unknown models compute: a second backward through one of them raises, for nearly every model saves
something that the first one frees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.graph import Node, meets
from gradls.flow.sources import sources, whole
from gradls.flow.values import Tensor

if TYPE_CHECKING:
    from gradls.flow.run import Run


def certain(root: Node) -> list[Node]:
    """The calls of an unknown model through whose graphs a backward from `root` goes for certain: nothing else but data
    can have given `root` its gradient."""
    found = sources(root)
    if found.others or not found.calls or len({id(node.get("called")) for node in found.calls}) > 1:
        return []
    return found.calls


def look(run: Run, root: Tensor, call: Call) -> None:
    """Write down that a backward goes through the graph of a model's call that an earlier one went through: directly,
    or through later calls of the same model, which were given a part of what it gave."""
    todo = list(sources(root.node).calls)
    seen = set(todo)
    for node in todo:
        freed = next((by for by in node.get("freed", ()) if meets(run.path, by.path)), None)
        if freed is not None and meets(run.path, node.path):
            run.event("freed-graph", call.node, root, node, by=freed, overwritten=False, likely=True)
            return
        for edge in node.edges:
            inner = whole(edge.node)
            if edge.flows is not False and inner not in seen and inner.get("called") is node.get("called"):
                seen.add(inner)
                todo.append(inner)
