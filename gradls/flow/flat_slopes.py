"""Gradients that do not change: those of what is piecewise linear, whose second derivative is zero everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gradls.flow.graph import Node
from gradls.flow.values import Tensor, Value

_KINKED = frozenset((
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_", "prelu", "rrelu", "rrelu_",
    "softshrink", "hardshrink", "threshold", "threshold_", "abs", "max_pool1d", "max_pool2d", "max_pool3d",
    "ReLU", "ReLU6", "LeakyReLU", "Hardtanh", "PReLU", "RReLU", "Softshrink", "Hardshrink", "Threshold",
    "MaxPool1d", "MaxPool2d", "MaxPool3d",
))  # fmt: skip
"""Operations and layers that are linear but for kinks, and whose gradient autograd differentiates to zeros."""

_ADDITIVE = frozenset((
    "add", "add_", "sub", "sub_", "rsub", "neg", "sum", "mean", "cat", "concat", "stack", "hstack", "vstack",
    "view", "reshape", "flatten", "squeeze", "unsqueeze", "expand", "expand_as", "permute", "transpose", "t", "T",
    "select", "narrow", "split", "chunk", "unbind", "getitem", "index", "clone", "contiguous", "to", "float", "double",
    "dropout", "Dropout", "Identity", "Flatten", "Unflatten", "AvgPool1d", "AvgPool2d", "avg_pool1d", "avg_pool2d",
))  # fmt: skip
"""Operations that are linear in all that they are given at once."""

_FACTORS = frozenset((
    "mul", "mul_", "__mul__", "__rmul__", "matmul", "mm", "bmm", "linear", "einsum", "addmm", "baddbmm",
    "Linear", "Bilinear", "Conv1d", "Conv2d", "Conv3d", "conv1d", "conv2d", "conv3d",
))  # fmt: skip
"""Operations that are linear in each of the things that they are given."""


def is_zero_again(roots: Sequence[Value], target: Value) -> Node | None:
    """The gradient whose derivative with respect to `target` is zero everywhere, if all of `roots` depend on `target`
    through such ones alone: gradients of what is piecewise linear in it; None if there is no such gradient."""
    if not isinstance(target, Tensor):
        return None
    first: Node | None = None
    seen: set[Node] = set()
    todo = [root.node for root in roots if isinstance(root, Tensor)]
    if len(todo) < len(roots):
        return None
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if _is(node, target):
            return None
        slope = node.get("slope")
        if isinstance(slope, tuple):
            outputs, wrt = slope
            if not _is_piecewise_linear(outputs, (wrt, target)):
                return None
            first = first or node
        elif node.kind != "op" and node.leaf is None:
            return None
        else:
            todo += [edge.node for edge in node.edges if edge.flows is not False]
    return first


def _is(node: Node, target: Tensor) -> bool:
    return node is target.node or node.leaf is target


def _is_piecewise_linear(outputs: Iterable[Node], targets: Collection[Tensor]) -> bool:
    """Are these linear in the targets together, but for kinks, of which there is one at least?"""
    leads: dict[Node, bool] = {}
    kinks = [False]
    return all(_leads(node, targets, leads, kinks) is not None for node in outputs) and kinks[0]


_MOST = 2000


def _leads(root: Node, targets: Collection[Tensor], leads: dict[Node, bool], kinks: list[bool]) -> bool | None:
    """Does a node depend on the targets? None if it is not, or not known to be, linear in them but for kinks."""
    todo: list[tuple[Node, bool]] = [(root, False)]
    while todo:
        node, done = todo.pop()
        if node in leads:
            continue
        if any(_is(node, target) for target in targets):
            leads[node] = True
            continue
        inputs = [edge.node for edge in node.edges if edge.flows is not False]
        if not done:
            if len(leads) > _MOST:
                return None
            todo.append((node, True))
            todo += [(one, False) for one in inputs if one not in leads]
            continue
        ways = sum(leads.get(one, False) for one in inputs)
        leads[node] = ways > 0
        if not ways:
            continue
        if node.kind != "op":
            return None
        if node.op in _KINKED:
            kinks[0] = True
        elif node.op not in _ADDITIVE and not (node.op in _FACTORS and ways == 1):
            return None
    return leads[root]


def note_slope(result: Value, roots: Sequence[Value], target: Value) -> None:
    """Remember of a gradient of which tensors it is, with respect to which."""
    outputs = tuple(root.node for root in roots if isinstance(root, Tensor))
    if isinstance(result, Tensor) and isinstance(target, Tensor) and len(outputs) == len(roots):
        result.node.fields["slope"] = (outputs, target)
