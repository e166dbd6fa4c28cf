"""What the gradient of a value may come from, where not all that it is computed from is known."""

from __future__ import annotations

from typing import NamedTuple

from gradls.flow.graph import Node
from gradls.flow.values import Unknown

_OBJECTS = frozenset(("argument", "attribute", "call", "derived", "element"))
"""Where something unknown that is called may come from if it is an object, such as a model: a function is imported."""
_COLLECTIONS = frozenset(("argument", "attribute", "data", "derived"))
"""Where a collection of data may come from: what a call gives may be the outputs of a model."""


class Sources(NamedTuple):
    """Where the ways of a gradient end: at `calls` of unknown objects, which may be models, at `data`, which a loop
    takes from somewhere or which are the target of a loss, and at other `arguments`. `others`: is there anything else,
    such as a tensor that requires grad? `parts` are what of each call's result is used, which may be all of it."""

    calls: list[Node]
    data: list[Node]
    arguments: list[Node]
    others: bool
    parts: list[Node]


def sources(root: Node, *, beyond: bool = True) -> Sources:
    """The ends of the ways that a gradient may take from `root` through operations that are known. `beyond`: they go
    on behind cuts of which it is not certain that there was a gradient, and where it is zero. None goes on behind what
    may be the `data` of a tensor: that is read for its values."""
    calls: list[Node] = []
    data: list[Node] = []
    arguments: list[Node] = []
    others = False
    parts: list[Node] = []
    seen = {root}
    todo = [(root, False)]
    while todo:
        part, is_target = todo.pop()
        node = whole(part)
        if node.cut is not None and (node.cut.kind == "data" or not beyond):
            continue
        if node.zero and not beyond:
            continue
        if node.kind == "opaque" and not node.get("pure"):
            if is_call(node):
                calls.append(node)
                parts.append(part)
            elif _is_data(node) or (node.op == "argument" and is_target):
                data.append(node)
            elif node.op == "argument":
                arguments.append(node)
            else:
                others = True
        elif node.leaf is not None:
            others = others or node.leaf.requires_grad is not False
        else:
            for index, edge in enumerate(node.edges):
                if edge.flows is not False and edge.node not in seen:
                    seen.add(edge.node)
                    todo.append((edge.node, node.label == "loss" and index == 1))
    return Sources(list(dict.fromkeys(calls)), data, arguments, others, parts)


def whole(node: Node) -> Node:
    """What an unknown part is a part of."""
    while node.kind == "opaque" and node.op == "derived" and len(node.edges) == 1:
        node = node.edges[0].node
    return node


def _is_data(node: Node) -> bool:
    """Is this an element of something that was given, not of what was computed?"""
    value = node.get("value")
    iterated = value.fields.get("iterated") if isinstance(value, Unknown) else None
    return node.op == "data" and isinstance(iterated, Unknown) and iterated.origin in _COLLECTIONS


def is_call(node: Node) -> bool:
    """Is this what an unknown object gave that was called, such as a model?"""
    called = node.get("called")
    return isinstance(called, Unknown) and called.origin in _OBJECTS
