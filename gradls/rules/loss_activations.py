"""Which activation a value has just come through."""

from __future__ import annotations

from gradls.flow.graph import Node
from gradls.rules.loss_arguments import Argument, history

KEEP = frozenset((
    "view", "reshape", "squeeze", "unsqueeze", "flatten", "unflatten", "transpose", "permute", "swapaxes",
    "movedim", "t", "T", "mT", "select", "index", "narrow", "index_select", "gather", "to", "float", "double",
    "half", "bfloat16", "type", "contiguous", "clone", "cpu", "cuda", "expand", "repeat", "masked_select",
    "view_as", "reshape_as", "chunk", "split", "unbind", "detach",
))  # fmt: skip
"""Operations that leave the elements as they are."""

NAMES = {
    "softmax": "softmax",
    "gumbel_softmax": "softmax",
    "softmin": "softmax",
    "Softmax2d": "softmax",
    "log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "hardsigmoid": "sigmoid",
    "logsigmoid": "logsigmoid",
    "log": "log",
    "tanh": "tanh",
    "relu": "relu",
    "relu6": "relu",
    "exp": "exp",
    "Linear": "linear",
    "linear": "linear",
    "Conv1d": "linear",
    "Conv2d": "linear",
    "Conv3d": "linear",
    "Bilinear": "linear",
    "addmm": "linear",
}


def made_by(given: Argument) -> Node | None:
    """The node of the operation that made the elements of an argument, behind those that only rearrange them; None if
    that is not certain."""
    node = given.then or history(given.value)
    steps = 0
    while node is not None and node.kind == "op" and node.op in KEEP and node.edges and steps < 64:
        node, steps = node.edges[0].node, steps + 1
    return node


def activation(given: Argument) -> str:
    """softmax, log_softmax, sigmoid, logsigmoid, exp, log, tanh, relu, linear (the raw output of a layer), or an empty
    string if it is something else or not known. An argument that differs by branch has one only if all branches
    agree."""
    found = by_branch(given)
    return next(iter(found)) if len(found) == 1 else ""


def by_branch(given: Argument) -> dict[str, Node]:
    """The activations that an argument may have come through, one for each sort, by branch, and what made them."""
    node = made_by(given)
    if node is None:
        return {}
    nodes = [edge.node for edge in node.edges] if node.kind == "phi" else [node]
    return {_of_node(one): one for one in nodes}


def _of_node(node: Node) -> str:
    steps = 0
    while node.kind == "op" and node.op in KEEP and node.edges and steps < 64:
        node, steps = node.edges[0].node, steps + 1
    found = NAMES.get(node.op, "") if node.kind == "op" else ""
    # A linear map with fixed weights may well keep probabilities: an average, a blur.
    return "" if found == "linear" and not _is_trained(node) else found


def _is_trained(node: Node) -> bool:
    weights = [edge.node.leaf for edge in node.edges if edge.node.leaf is not None and edge.node.leaf.is_parameter]
    return bool(weights) and all(weight.requires_grad is True for weight in weights)
