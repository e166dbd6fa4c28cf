"""Shapes as far as literals tell: enough to know a scalar, and (N, 1) against (N,)."""

from __future__ import annotations

from gradls.autograd.ops import Op
from gradls.flow.shape_rules import RULES
from gradls.flow.values import FALSE, Host, Sequence, Tensor, Value, is_none

Shape = tuple["int | None", ...]


def of_result(op: Op, bound: dict[str, Value]) -> Shape | None:
    """The shape of the result of an operation; a dimension of unknown size is None, an unknown shape is None."""
    first = bound.get(op.params[0]) if op.params else None
    shape = first.shape if isinstance(first, Tensor) else None
    rule = RULES.get(op.name)
    if rule is not None:
        return rule(bound)
    if op.name in _ALONG_ONE:
        return _without_one(shape, bound.get("dim"), _ALONG_ONE[op.name])
    if op.name in ("movedim", "moveaxis"):
        return None
    if op.shape == "same":
        if op.name in ("clamp", "clip") and not op.inplace:
            given = (first, bound.get("min"), bound.get("max"))
            return broadcast([value for value in given if value is not None])
        return shape
    if op.shape == "broadcast":
        return broadcast([value for value in bound.values() if not _is_option(value)])
    if op.shape in ("scalar", "reduce"):
        return _reduced(op, bound, shape)
    if op.shape == "loss":
        reduction = bound.get("reduction")
        if reduction is None:
            return ()
        if isinstance(reduction, Host) and reduction.known:
            return () if reduction.value != "none" else _of_unreduced(op, bound, shape)
        return None
    return None


_ALONG_ONE = {"cosine_similarity": 1, "pairwise_distance": -1}
"""Operations that reduce one dimension, and which if none is given."""
_ROW_LOSSES = (
    "cross_entropy", "nll_loss", "nll_loss2d", "multi_margin_loss", "multilabel_margin_loss", "ctc_loss",
    "multilabel_soft_margin_loss",
)  # fmt: skip


def _of_unreduced(op: Op, bound: dict[str, Value], shape: Shape | None) -> Shape | None:
    """The shape of a loss with `reduction="none"`."""
    if op.name in _ROW_LOSSES:
        # One number for each place that has a class.
        return None if not shape else shape[:1] + shape[2:]
    if "target" in op.params and "margin" not in op.params:
        return broadcast([value for name, value in bound.items() if name in (op.params[0], "target")])
    return None


def _without_one(shape: Shape | None, dim: Value | None, default: int) -> Shape | None:
    """The shape without one dimension."""
    place = default if dim is None else dim.value if isinstance(dim, Host) and dim.known else None
    if shape is None or not isinstance(place, int) or not -len(shape) <= place < len(shape):
        return None
    place %= len(shape)
    return shape[:place] + shape[place + 1 :]


def _is_option(value: Value) -> bool:
    return isinstance(value, Host) and value.kind in ("none", "str", "bool")


def broadcast(values: list[Value]) -> Shape | None:
    """The shape of an element-wise operation."""
    result: Shape = ()
    for value in values:
        if isinstance(value, Host):
            continue
        if not isinstance(value, Tensor) or value.shape is None:
            return None
        result = _broadcast_two(result, value.shape)
    return result


def _broadcast_two(one: Shape, other: Shape) -> Shape:
    if not other or one == other:
        return one
    if not one:
        return other
    length = max(len(one), len(other))
    left = (1,) * (length - len(one)) + one
    right = (1,) * (length - len(other)) + other
    return tuple(b if a == 1 else a if b == 1 or a is not None else b for a, b in zip(left, right, strict=True))


def both_grow(one: Shape | None, other: Shape | None) -> bool:
    """Does broadcasting two shapes make each of them larger, like (N, 1) against (N,)? A size that is not known is
    taken for more than one where the other shape has none, or a one, in its place."""
    if not one or not other or one == other:
        return False
    length = max(len(one), len(other))
    left = (1,) * (length - len(one)) + one
    right = (1,) * (length - len(other)) + other
    if 1 not in left or 1 not in right:
        return False
    pairs = list(zip(left, right, strict=True))
    if any(a != b and a not in (1, None) and b not in (1, None) for a, b in pairs):
        return False
    return any(a == 1 and b != 1 for a, b in pairs) and any(b == 1 and a != 1 for a, b in pairs)


def differ(one: Shape | None, other: Shape | None) -> bool:
    """Are two shapes certainly not the same?"""
    if one is None or other is None:
        return False
    if len(one) != len(other):
        return True
    return any(a is not None and b is not None and a != b for a, b in zip(one, other, strict=True))


def _reduced(op: Op, bound: dict[str, Value], shape: Shape | None) -> Shape | None:
    dim = bound.get("dim")
    keeps = bound.get("keepdim")
    if dim is None or is_none(dim):
        if op.shape == "reduce" and "dim" in op.params:
            return None
        return () if keeps is None or keeps is FALSE else None
    if shape is None:
        return None
    dims = _dims(dim, len(shape))
    if dims is None or (keeps is not None and not (isinstance(keeps, Host) and keeps.known)):
        return None
    if isinstance(keeps, Host) and keeps.value:
        return tuple(1 if index in dims else size for index, size in enumerate(shape))
    return tuple(size for index, size in enumerate(shape) if index not in dims)


def _dims(value: Value, rank: int) -> set[int] | None:
    if isinstance(value, Host) and isinstance(value.value, int):
        return {value.value % rank} if rank else set()
    if isinstance(value, Sequence) and value.rest is None:
        ints = [item.value for item in value.items if isinstance(item, Host) and isinstance(item.value, int)]
        found = [number % rank for number in ints] if rank else ints
        return set(found) if len(found) == len(value.items) else None
    return None


def expanded(shape: Shape | None, sizes: Shape | None) -> tuple[Shape | None, bool]:
    """The shape that `expand(*sizes)` gives, and whether a dimension certainly became larger."""
    if sizes is None:
        return None, False
    old: Shape = (None,) * len(sizes) if shape is None else (1,) * (len(sizes) - len(shape)) + shape
    new = tuple(before if size == -1 else size for before, size in zip(old, sizes, strict=False))
    larger = any(before == 1 and size is not None and size > 1 for before, size in zip(old, new, strict=False))
    return new, larger


def of_sizes(values: list[Value]) -> Shape | None:
    """The shape that the arguments of a factory such as `torch.zeros(2, n)` or `torch.zeros((2, n))` give.

    None also if there are none: they are given by name, then.
    """
    if not values:
        return None
    if len(values) == 1 and isinstance(values[0], Sequence):
        if values[0].rest is not None:
            return None
        values = list(values[0].items)
    sizes: list[int | None] = []
    for value in values:
        if not isinstance(value, Host) and type(value).__name__ != "Unknown":
            return None
        if isinstance(value, Host) and value.kind == "int":
            sizes.append(value.value if value.known else None)
        elif isinstance(value, Host):
            return None
        else:
            return None
    return tuple(sizes)
