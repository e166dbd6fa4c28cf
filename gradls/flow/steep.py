"""Where gradients become infinite: operations whose derivative does, at numbers that their argument comes to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow import ranges
from gradls.flow.graph import Node
from gradls.flow.values import Host, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

STEEP: dict[str, tuple[float, ...]] = {
    "sqrt": (0.0,),
    "rsqrt": (0.0,),
    **dict.fromkeys(("log", "log2", "log10"), (0.0,)),
    **dict.fromkeys(("acos", "arccos", "asin", "arcsin", "atanh", "arctanh"), (-1.0, 1.0)),
    **dict.fromkeys(("acosh", "arccosh"), (1.0,)),
    "log1p": (-1.0,),
}
"""At which numbers the derivative is infinite."""
_WELL_KNOWN = frozenset((
    ("sqrt", "squares"), ("log", "softmax"), ("log", "sigmoid"), ("acos", "clamp"), ("arccos", "clamp"),
    ("acos", "cosine_similarity"), ("arccos", "cosine_similarity"),
))  # fmt: skip
"""What is worth saying even where it is not known whether a gradient flows: losses, and distances, are made of it."""
_DIVISIONS = frozenset(("div", "true_divide", "divide", "truediv"))
_COMPARISONS = frozenset(("gt", "ge", "lt", "le", "ne", "eq"))


_PRODUCTS = frozenset((*_DIVISIONS, "mul", "multiply"))
_MAY_BE_STEEP = frozenset((*STEEP, *_PRODUCTS, "pow", "__rtruediv__", "reciprocal", "softmax", "log_softmax"))


def check(run: Run, name: str, bound: dict[str, Value], result: Tensor, at: ast.AST) -> None:
    """Write down an infinite derivative at a number that the argument of an operation comes to."""
    if name in _COMPARISONS and len(bound) > 1:
        one, other, *_ = bound.values()
        result.fields["compared"] = (name, one, other)
    elif name == "where":
        _check_where(run, bound, result, at)
    elif name in _MAY_BE_STEEP:
        look_at(run, name, bound, result.node, at)


def look_at(run: Run, name: str, bound: dict[str, Value], node: Node, at: ast.AST) -> None:
    """The same for an operation that made `node`, which may be of something unknown."""
    if name in ("softmax", "log_softmax"):
        _check_masked(run, bound, node, at)
        return
    points, argument = _points(name, bound)
    if name in _PRODUCTS and len(bound) > 1 and run.recording is not False and not run.isolated:
        _check_infinite(run, bound, node, at)
    if argument is None or run.recording is False or run.isolated:
        return
    flows = argument.requires_grad if isinstance(argument, Tensor) else None
    if flows is False and name in _DIVISIONS:
        # What is divided has the gradient 1 / divisor.
        flows = _flows(next(iter(bound.values())))
    if flows is False:
        return
    node.fields["steep"] = (name, argument)
    known = ranges.of(argument)
    if known is None or name in _DIVISIONS or name in ("__rtruediv__", "reciprocal"):
        return
    for point in points:
        if point in known.has or point in known.comes_to:
            certain = point in known.has
            if not certain and known.source in ("square", "squares", "abs") and name.startswith("log"):
                return
            if flows is None and not certain and (name, known.source) not in _WELL_KNOWN:
                return
            run.event(
                "steep", at, argument, node, op=name, point=point, certain=certain, source=known.source, flows=flows
            )
            return


_OF_UNKNOWN = frozenset((
    "pow", "square", "sqrt", "rsqrt", "log", "log2", "abs", "relu", "sigmoid", "softmax", "sum", "add", "sub", "mul",
    "truediv", "acos", "asin",
))  # fmt: skip
"""Operations that are what they are called, whatever they are applied to."""


def look_at_unknown(run: Run, name: str, values: list[Value], result: Unknown, at: ast.AST) -> None:
    """What an operation on something unknown tells, if that is a tensor."""
    if name not in _OF_UNKNOWN or not any(isinstance(value, (Unknown, Tensor)) for value in values[:2]):
        return
    op = find_op(f"torch.Tensor.{name}") or find_op(f"torch.Tensor.__{name}__")
    if op is None:
        return
    bound = dict(zip(op.params, values, strict=False))
    ranges.remember(result, ranges.of_result(op.name, bound))
    look_at(run, op.name, bound, result.fields["node",], at)


def _check_masked(run: Run, bound: dict[str, Value], node: Node, at: ast.AST) -> None:
    """A softmax over nothing but minus infinity is NaN."""
    value, dim = next(iter(bound.values()), None), bound.get("dim")
    known = ranges.of(value)
    if known is None or known.full_row != -ranges.INF:
        return
    rank = len(value.shape) if isinstance(value, Tensor) and value.shape is not None else None
    last = isinstance(dim, Host) and (dim.value == -1 or (rank is not None and dim.value == rank - 1))
    if last or known.constant:
        run.event("masked-out", at, value, node)


def _check_infinite(run: Run, bound: dict[str, Value], node: Node, at: ast.AST) -> None:
    """Of what is multiplied with minus infinity the gradient is minus infinity times zero, where a softmax follows."""
    one, other, *_ = bound.values()
    for masked, factor in ((one, other), (other, one)):
        known = ranges.of(masked)
        if known is not None and not known.comes_to.isdisjoint((ranges.INF, -ranges.INF)) and _flows(factor):
            run.event("infinite-factor", at, masked, node, factor=factor)
            return


def _flows(value: Value) -> bool | None:
    if isinstance(value, Tensor):
        return value.requires_grad
    return None if isinstance(value, Unknown) else False


def _points(name: str, bound: dict[str, Value]) -> tuple[tuple[float, ...], Value | None]:
    """Where the derivative of an operation is infinite, and of which argument that is said."""
    values = list(bound.values())
    if name in STEEP and values:
        return STEEP[name], _tensor(values[0])
    if name == "pow" and len(values) > 1 and isinstance(values[1], Host):
        exponent = values[1].value
        steep = isinstance(exponent, float) and 0 < exponent < 1
        return (0.0,), _tensor(values[0]) if steep else None
    if name in _DIVISIONS and len(values) > 1:
        return (0.0,), _tensor(values[1])
    if name in ("__rtruediv__", "reciprocal") and values:
        return (0.0,), _tensor(values[0])
    return (), None


def _tensor(value: Value) -> Tensor | Unknown | None:
    return value if isinstance(value, (Tensor, Unknown)) else None


def compared(value: Value | None) -> tuple[str, Value, Value] | None:
    """What a condition compares: the operation and its two sides."""
    if isinstance(value, Tensor):
        return value.fields.get("compared")
    if isinstance(value, Unknown):
        asked = value.fields.get("derived")
        if asked is not None and isinstance(asked[1], tuple) and asked[1][0] in _COMPARISONS:
            number = asked[1][1]
            return (asked[1][0], asked[0], Host(type(number).__name__, number))
    return None


def _check_where(run: Run, bound: dict[str, Value], result: Tensor, at: ast.AST) -> None:
    """`torch.where(x > 0, f(x), 0)` computes `f(x)` everywhere: the gradient of `f` at 0, times zero, is NaN."""
    test = compared(bound.get("condition"))
    if test is None or run.recording is False or run.isolated or result.requires_grad is False:
        return
    name, subject, limit = test
    number = limit.value if isinstance(limit, Host) and isinstance(limit.value, (int, float)) else None
    if number is None or not 0 <= number <= 0.01:
        return
    # The branch that is meant to be taken away from zero.
    branch = bound.get("input" if name in ("gt", "ge", "ne") else "other")
    if name in ("ne", "eq", "ge") and number != 0 and name != "ge":
        return
    found = _steep_in(branch, subject)
    if found is not None and (result.requires_grad is True or found[0] in STEEP or found[0] == "pow"):
        op, node = found
        run.event("shielded", at, subject, node, op=op, flows=result.requires_grad)


def _steep_in(value: Value | None, subject: Value) -> tuple[str, Node] | None:
    """An operation, within the last few steps of `value`, with an infinite derivative where `subject` is zero."""
    start = value.node if isinstance(value, Tensor) else None
    if isinstance(value, Unknown):
        start = value.fields.get(("node",))
    todo = [(start, 0)] if start is not None else []
    while todo:
        node, depth = todo.pop()
        noted = node.get("steep")
        if noted is not None and noted[1] is subject and (noted[0] not in STEEP or 0.0 in STEEP[noted[0]]):
            return noted[0], node
        if depth < 4 and node.kind in ("op", "opaque"):
            todo += [(edge.node, depth + 1) for edge in node.edges if edge.flows is not False]
    return None
