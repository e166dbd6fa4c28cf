"""Shapes of operations that rearrange, join or multiply, where they are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from gradls.flow.values import Host, Sequence, Tensor, Value

Shape = tuple["int | None", ...]
Bound = dict[str, Value]


def of_tensor(value: Value | None) -> Shape | None:
    return value.shape if isinstance(value, Tensor) else None


def number(value: Value | None, default: int | None = None) -> int | None:
    """A known whole number."""
    if value is None:
        return default
    return value.value if isinstance(value, Host) and isinstance(value.value, int) else None


def _product(one: Shape | None, other: Shape | None) -> Shape | None:
    """The shape of a matrix product."""
    if not one or not other:
        return None
    if len(one) == 1 and len(other) == 1:
        return ()
    if len(other) == 1:
        return one[:-1]
    if len(one) == 1:
        return (*other[:-2], other[-1])
    if len(one) == 2:
        return (*other[:-2], one[0], other[-1])
    if len(other) == 2 or one[:-2] == other[:-2]:
        return (*one[:-1], other[-1])
    return None


def _matmul(bound: Bound) -> Shape | None:
    one, other, *_ = bound.values() if len(bound) > 1 else (None, None)
    return _product(of_tensor(one), of_tensor(other))


def _reverse_matmul(bound: Bound) -> Shape | None:
    one, other, *_ = bound.values() if len(bound) > 1 else (None, None)
    return _product(of_tensor(other), of_tensor(one))


def _linear(bound: Bound) -> Shape | None:
    shape, weight = of_tensor(bound.get("input")), of_tensor(bound.get("weight"))
    return (*shape[:-1], weight[0]) if shape and weight is not None and len(weight) == 2 else None


def _outer(bound: Bound) -> Shape | None:
    shapes = [of_tensor(value) for value in bound.values()]
    if len(shapes) < 2 or any(shape is None or len(shape) != 1 for shape in shapes[:2]):
        return None
    return (shapes[0][0], shapes[1][0])  # type: ignore[index]


def _transpose(bound: Bound) -> Shape | None:
    shape = of_tensor(bound.get("input"))
    one, other = (number(bound.get(name)) for name in (("dim0", "dim1") if "dim0" in bound else ("axis0", "axis1")))
    if (
        shape is None
        or one is None
        or other is None
        or not all(-len(shape) <= dim < len(shape) for dim in (one, other))
    ):
        return None
    sizes = list(shape)
    sizes[one], sizes[other] = sizes[other], sizes[one]
    return tuple(sizes)


def _permute(bound: Bound) -> Shape | None:
    shape, dims = of_tensor(bound.get("input")), bound.get("dims")
    if shape is None or not isinstance(dims, Sequence) or dims.rest is not None:
        return None
    order = [number(dim) for dim in dims.items]
    if len(order) != len(shape) or any(dim is None or not -len(shape) <= dim < len(shape) for dim in order):
        return None
    return tuple(shape[dim] for dim in order if dim is not None)


def _flatten(bound: Bound) -> Shape | None:
    shape = of_tensor(bound.get("input"))
    start, end = number(bound.get("start_dim"), 0), number(bound.get("end_dim"), -1)
    if not shape or start is None or end is None or not all(-len(shape) <= dim < len(shape) for dim in (start, end)):
        return None
    start, end = start % len(shape), end % len(shape)
    return (*shape[:start], _total(shape[start : end + 1]), *shape[end + 1 :])


def _total(sizes: Shape) -> int | None:
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None


def _shapes_in(bound: Bound) -> list[Shape] | None:
    """The shapes of the tensors that are joined, if all are known and of one rank."""
    value = bound.get("tensors")
    if not isinstance(value, Sequence) or value.rest is not None or not value.items:
        return None
    shapes = [of_tensor(item) for item in value.items]
    known = [shape for shape in shapes if shape is not None]
    return known if len(known) == len(shapes) and len({len(shape) for shape in known}) == 1 else None


def _cat(bound: Bound) -> Shape | None:
    shapes, dim = _shapes_in(bound), number(bound.get("dim"), 0)
    if shapes is None or dim is None or not -len(shapes[0]) <= dim < len(shapes[0]):
        return None
    sizes = list(shapes[0])
    parts = [shape[dim] for shape in shapes]
    sizes[dim] = None if None in parts else sum(part for part in parts if part is not None)
    return tuple(sizes)


def _stack(bound: Bound) -> Shape | None:
    shapes, dim = _shapes_in(bound), number(bound.get("dim"), 0)
    if shapes is None or dim is None or not -len(shapes[0]) - 1 <= dim <= len(shapes[0]):
        return None
    place = dim % (len(shapes[0]) + 1)
    return (*shapes[0][:place], len(shapes), *shapes[0][place:])


def _gather(bound: Bound) -> Shape | None:
    return of_tensor(bound.get("index"))


def _select(bound: Bound) -> Shape | None:
    shape, dim = of_tensor(bound.get("input")), number(bound.get("dim"))
    if not shape or dim is None or not -len(shape) <= dim < len(shape):
        return None
    dim %= len(shape)
    return shape[:dim] + shape[dim + 1 :]


def _index_select(bound: Bound) -> Shape | None:
    shape, dim, index = of_tensor(bound.get("input")), number(bound.get("dim")), of_tensor(bound.get("index"))
    if not shape or dim is None or not -len(shape) <= dim < len(shape):
        return None
    sizes = list(shape)
    sizes[dim] = index[0] if index else None
    return tuple(sizes)


def _embedding(bound: Bound) -> Shape | None:
    index, weight = of_tensor(bound.get("input")), of_tensor(bound.get("weight"))
    return (*index, weight[1]) if index is not None and weight is not None and len(weight) == 2 else None


def _like_other(bound: Bound) -> Shape | None:
    return of_tensor(bound.get("other"))


def _sizes(value: Value | None, count: int) -> Shape:
    """The sizes that an argument such as `8` or `(8, 8)` gives to so many dimensions."""
    if isinstance(value, Sequence) and value.rest is None and len(value.items) == count:
        return tuple(number(item) for item in value.items)
    return (number(value),) * count


def _interpolate(bound: Bound) -> Shape | None:
    shape = of_tensor(bound.get("input"))
    if shape is None or len(shape) < 3:
        return None
    count = len(shape) - 2
    if bound.get("scale_factor") is None:
        return shape[:2] + _sizes(bound.get("size"), count)
    scales = _sizes(bound.get("scale_factor"), count)
    return shape[:2] + tuple(size and scale and size * scale for size, scale in zip(shape[2:], scales, strict=True))


def _pool(dimensions: int, bound: Bound) -> Shape | None:
    """The sizes of a pooling with a window are not worked out; those of an adaptive one are written there."""
    shape = of_tensor(bound.get("input"))
    if shape is None or len(shape) <= dimensions or bound.get("return_indices") is not None:
        return None
    return shape[:-dimensions] + _sizes(bound.get("output_size"), dimensions)


_POOLS = ("max_pool", "avg_pool", "lp_pool", "adaptive_max_pool", "adaptive_avg_pool")

RULES: dict[str, Callable[[Bound], Shape | None]] = {
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm", "mv", "dot", "vdot", "inner_product"), _matmul),
    "__rmatmul__": _reverse_matmul,
    "linear": _linear,
    **dict.fromkeys(("outer", "ger"), _outer),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "permute": _permute,
    **dict.fromkeys(("flatten", "ravel"), _flatten),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
    "gather": _gather,
    "select": _select,
    "index_select": _index_select,
    "embedding": _embedding,
    **dict.fromkeys(("interpolate", "upsample"), _interpolate),
    **{f"{name}{count}d": partial(_pool, count) for name in _POOLS for count in (1, 2, 3)},
    **dict.fromkeys(("view_as", "reshape_as", "expand_as"), _like_other),
}
"""The rules by operation."""
