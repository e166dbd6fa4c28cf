"""Second derivatives: what the gradient of a node depends on, and where a gradient cannot be differentiated again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradls.flow.contents import is_plain, tensors_in
from gradls.flow.graph import Edge, Node
from gradls.flow.values import Tensor, Value

if TYPE_CHECKING:
    from gradls.autograd.ops import Op


SIGNS = {
    "add": {"input": 1, "other": 1},
    "sub": {"input": 1, "other": -1},
    "rsub": {"input": -1, "other": 1},
    "__rsub__": {"input": -1, "other": 1},
    "neg": {"input": -1},
}
"""The operations that give a sum, and with which sign each parameter stands in it."""


def about_edges(op: Op, bound: dict[str, Value]) -> dict[str, tuple[str, int]]:
    """What a node's edges say besides what they lead to (see `Edge`), by parameter."""
    signs = SIGNS.get(op.name, {}) if "alpha" not in bound else {}
    if not op.second:
        return {name: ("", sign) for name, sign in signs.items()} if signs else _NOTHING
    words = second_derivatives(op, bound)
    if not signs:
        return {name: (word, 0) for name, word in words.items()}
    return {name: (words.get(name, ""), signs.get(name, 0)) for name in words.keys() | signs.keys()}


_NOTHING: dict[str, tuple[str, int]] = {}


def second_derivatives(op: Op, bound: dict[str, Value]) -> dict[str, str]:
    """What the gradients of a node are for a second derivative, by parameter."""
    found: dict[str, str] = {}
    for name, word in op.second.items():
        if word == "linear":
            found[name] = _of_linear(_other_factors(op, bound, name))
        else:
            found[name] = "constant" if word == "additive" else word
    return found


def _other_factors(op: Op, bound: dict[str, Value], name: str) -> list[Value]:
    """What the gradient of a factor is computed with: what is kept for it, where that is known of each factor, and
    otherwise all the others. That of a layer's input has nothing to do with the bias."""
    kept = [entry.what for entry in op.saved if name in entry.gates]
    names = kept if kept and all(what in op.params for what in kept) else [other for other in bound if other != name]
    return [bound[other] for other in names if other in bound]


def _of_linear(others: list[Value]) -> str:
    """What the gradient of a factor is, given all else that the operation computes with."""
    if _are_constant(others):
        return "constant"
    tensors = [part for value in others for part in tensors_in(value)]
    return "curved" if all(isinstance(part, Tensor) and part.requires_grad is True for part in tensors) else ""


def _are_constant(values: Iterable[Value]) -> bool:
    for value in values:
        if type(value) is Tensor:
            if value.fields["requires_grad"] is not False:
                return False
        elif not all(map(is_constant, tensors_in(value))):
            return False
    return True


def is_constant(value: Value) -> bool:
    """Is it known that this does not require grad?"""
    return value.requires_grad is False if isinstance(value, Tensor) else is_plain(value)


class Gradient:
    """What is known of the gradient that arrives at a node: `flag`, does it require grad (None, not known); `stuck`,
    the node and edge where its own graph cannot be followed; `weighed`, it came through a layer with parameters that
    are trained."""

    __slots__ = ("flag", "stuck", "weighed")

    def __init__(self, flag: bool | None) -> None:
        self.flag = flag
        self.stuck: tuple[Node, Edge] | None = None
        self.weighed = False

    def add(self, other: Gradient) -> None:
        """Sum up with another gradient for the same node."""
        if other.flag is True or (other.flag is None and self.flag is False):
            self.flag = other.flag
        self.stuck = self.stuck or other.stuck
        self.weighed = self.weighed or other.weighed


def gradients(roots: Iterable[Node], given: bool | None, nodes: Iterable[Node]) -> dict[Node, Gradient]:
    """The gradients that a backward with `create_graph=True` from `roots` through `nodes` makes, by node. `given`: do
    the gradients that it starts from require grad?"""
    known = set(nodes)
    found = {root: Gradient(given) for root in roots}
    for node in _in_order(known, found):
        gradient = found.get(node)
        if gradient is None:
            continue
        for edge in node.edges:
            if edge.flows is False:
                continue
            step = _through(node, edge, gradient)
            if edge.node in found:
                found[edge.node].add(step)
            else:
                found[edge.node] = step
    return found


def _through(node: Node, edge: Edge, gradient: Gradient) -> Gradient:
    """The gradient behind one edge."""
    word = edge.second if edge.flows else ""
    step = Gradient(gradient.flag if word in ("constant", "once") else True if word in ("curved", "raises") else None)
    step.stuck = gradient.stuck
    others = any(other.flows for other in node.edges if other is not edge)
    step.weighed = gradient.weighed or (node.frees is True and not word and others)
    if word == "raises" or (word == "once" and gradient.flag is True):
        step.stuck = step.stuck or (node, edge)
    if step.flag is None and gradient.flag is True:
        # It has a graph at least through the gradient that came in.
        known = edge.flows is True and node.kind == "op" and not node.zero and not node.get("custom")
        step.flag = True if word or known else None
    return step


def _in_order(nodes: set[Node], roots: Iterable[Node]) -> list[Node]:
    """The nodes from the roots on, each before those that its gradient goes to."""
    order: list[Node] = []
    seen: set[Node] = set()
    todo: list[tuple[Node, bool]] = [(root, False) for root in roots]
    while todo:
        node, done = todo.pop()
        if done:
            order.append(node)
        elif node not in seen and node in nodes:
            seen.add(node)
            todo.append((node, True))
            todo += [(edge.node, False) for edge in node.edges if edge.flows is not False]
    return order[::-1]
