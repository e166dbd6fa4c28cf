"""Which numbers a tensor may hold: bounds, numbers that it certainly holds, and numbers that it comes to by design."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import NamedTuple

from gradls.flow.values import Host, Sequence, Tensor, Unknown, Value

INF = math.inf
MOST_NUMBERS = 64
"""Tensors with more numbers written out are described by their bounds."""


class Range(NamedTuple):
    """What is known of the elements of a tensor.

    All are between `low` and `high`. `has` are numbers that some element certainly is; `comes_to` those that elements
    are for inputs which the operation `source` may well meet: 0 for a square, 1 for a sigmoid, which rounds to it.
    """

    low: float = -INF
    high: float = INF
    has: frozenset[float] = frozenset()
    comes_to: frozenset[float] = frozenset()
    source: str = ""
    row: float | None = None
    """The number that fills the whole last dimension somewhere, where not every element is the same."""
    first: bool = False
    """Does it do so at the beginning of the dimension before the last?"""

    @property
    def full_row(self) -> float | None:
        """The number that certainly fills the last dimension somewhere."""
        return self.low if self.constant else self.row

    @property
    def constant(self) -> bool:
        """Is every element the same known number?"""
        return self.low == self.high


ANY = Range()
MOVED = Range(source="moved")
"""Anything, with a small number added."""


def exactly(values: Iterable[float]) -> Range:
    """The range of numbers of which all are known."""
    numbers = frozenset(map(float, values))
    return Range(min(numbers), max(numbers), numbers, frozenset(), "numbers")


def between(low: float, high: float, *comes_to: float, source: str = "") -> Range:
    return Range(low, high, frozenset(), frozenset(comes_to), source)


# What values are known to be


def of(value: Value | None) -> Range | None:
    """What is known of the elements of a tensor, or of a number; None if nothing is."""
    if isinstance(value, Host):
        return _of_number(value.value) if isinstance(value.value, (int, float)) else None
    if not isinstance(value, (Tensor, Unknown)):
        return None
    noted = value.fields.get("*range")
    if noted is None:
        return None
    known: Range | None
    known, writes = noted
    if isinstance(value, Tensor) and (writes != _writes(value) or value.fields.get("*escaped")):
        return None
    return known


@lru_cache(1024)
def _of_number(number: float) -> Range:
    return exactly([number])


def remember(value: Value, known: Range | None) -> None:
    """Note what is known of a value, as long as nothing writes to it."""
    if known is not None and known != ANY and isinstance(value, (Tensor, Unknown)):
        value.fields["*range"] = entry(value, known)


def entry(value: Value, known: Range | None) -> tuple[Range, object] | None:
    """What the field of a value holds for a range that is known of it now."""
    return None if known is None else (known, _writes(value) if isinstance(value, Tensor) else None)


def _writes(tensor: Tensor) -> tuple[object, ...]:
    if not tensor.has_storage:
        return _NO_WRITES
    storage, shadow = tensor.storage, tensor.storage.shadow
    return (
        storage.writes, storage.fields.get("hidden"),
        *(() if shadow is None else (shadow.writes, shadow.fields.get("hidden"))),
    )  # fmt: skip


_NO_WRITES = ((), None)


def of_data(value: Value | None) -> Range | None:
    """The range of a tensor that is made of Python's numbers."""
    numbers: list[float] = []
    return exactly(numbers) if value is not None and _collect(value, numbers) and numbers else None


def _collect(value: Value, numbers: list[float]) -> bool:
    if isinstance(value, Sequence):
        return value.whole and all(_collect(item, numbers) for item in value.items) and len(numbers) <= MOST_NUMBERS
    if isinstance(value, Host) and value.known and isinstance(value.value, (int, float)):
        numbers.append(float(value.value))
        return value.value == value.value
    return False


# What operations give


def _single(number: float) -> float:
    """A number rounded to single precision."""
    try:
        return struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return math.copysign(INF, number)


def _sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number)) if number > -700 else 0.0


def _increasing(function: Callable[[float], float]) -> Callable[[Range], Range]:
    """How an increasing function changes a range."""

    def change(given: Range) -> Range:
        return Range(
            function(given.low), function(given.high), _each(function, given.has), _each(function, given.comes_to),
            given.source,
        )  # fmt: skip

    return change


def _each(function: Callable[[float], float], numbers: frozenset[float]) -> frozenset[float]:
    return frozenset(function(number) for number in numbers)


def _saturating(function: Callable[[float], float], low: float, high: float, from_: float, to: float, name: str):
    """A function that rounds to its bounds `low` and `high` for inputs below `from_` and above `to`."""

    def change(given: Range) -> Range:
        ends = {low} if given.low < from_ else set()
        ends |= {high} if given.high > to else set()
        return Range(function(given.low), function(given.high), _each(function, given.has), frozenset(ends), name)

    return change


def _abs(given: Range) -> Range:
    low = 0.0 if given.low <= 0 <= given.high else min(abs(given.low), abs(given.high))
    reached = _each(abs, given.comes_to) | ({0.0} if low == 0 else set())
    return Range(low, max(abs(given.low), abs(given.high)), _each(abs, given.has), reached, given.source or "abs")


def square(given: Range) -> Range:
    """What the square of something gives."""
    found = _abs(given)
    return _increasing(lambda number: number * number)(found._replace(source=given.source or "square"))


def _relu(given: Range) -> Range:
    found = _increasing(lambda number: max(number, 0.0))(given)
    reached = found.comes_to | ({0.0} if given.low <= 0 else set())
    return found._replace(comes_to=reached, source=given.source or "relu")


def _root(number: float) -> float:
    return math.sqrt(number) if number >= 0 else 0.0


def _exp(number: float) -> float:
    return math.exp(number) if number < 700 else INF


_UNARY: dict[str, Callable[[Range], Range]] = {
    "abs": _abs,
    "absolute": _abs,
    "square": square,
    "relu": _relu,
    "neg": lambda given: _scaled(given, -1.0),
    "sqrt": lambda given: _increasing(_root)(given) if given.low >= 0 else between(0.0, INF),
    "exp": lambda given: _increasing(_exp)(given)._replace(comes_to=frozenset()),
    "sigmoid": _saturating(_sigmoid, 0.0, 1.0, -104, 17, "sigmoid"),
    "expit": _saturating(_sigmoid, 0.0, 1.0, -104, 17, "sigmoid"),
    "tanh": _saturating(math.tanh, -1.0, 1.0, -10, 10, "tanh"),
    "softmax": lambda given: Range(0.0, 1.0, frozenset(), frozenset((0.0, 1.0)), "softmax"),
    "softplus": lambda given: between(0.0, INF),
    "one_hot": lambda given: between(0.0, 1.0),
    "std": lambda given: between(0.0, INF),
    "norm": lambda given: between(0.0, INF),
    "vector_norm": lambda given: between(0.0, INF),
}
_KEEP = frozenset((
    "view", "reshape", "flatten", "ravel", "transpose", "permute", "swapaxes", "t", "T", "mT", "squeeze", "unsqueeze",
    "clone", "contiguous", "expand", "expand_as", "to", "float", "double", "detach", "unflatten", "movedim", "repeat",
    "view_as", "reshape_as", "alias", "requires_grad_", "cpu", "cuda", "flip", "sort", "squeeze_copy",
))  # fmt: skip
"""Operations of which the result holds every element of its input, and no others."""
_KEEP_ROWS = frozenset((
    "clone", "contiguous", "to", "float", "double", "detach", "unsqueeze", "expand", "alias", "cpu", "cuda",
))  # fmt: skip
_PART = frozenset((
    "select", "index", "narrow", "index_select", "gather", "masked_select", "amax", "amin", "max", "min", "mean",
    "unbind", "diagonal", "chunk", "split", "take", "take_along_dim",
))  # fmt: skip
"""Operations of which the result is within the bounds of its input."""
_COMPARING = frozenset(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "logical_not", "bitwise_not"))
_SAME_NAME = {
    "subtract": "sub", "multiply": "mul", "true_divide": "div", "divide": "div", "clip": "clamp",
}  # fmt: skip


def of_result(name: str, bound: dict[str, Value]) -> Range | None:
    """What is known of the result of the operation `name`."""
    name = _SAME_NAME.get(name, name)
    first = next(iter(bound.values()), None)
    known = of(first)
    if known is MOVED:
        if name == "square" or (name in ("pow", "mul") and _is_square(name, bound)):
            # As `torch.pairwise_distance` does it: for equal inputs this is not 0.
            return Range(low=0.0)
        if name in _KEEP:
            return MOVED
        known = None
    if known is None and name not in _OF_ANYTHING:
        return None
    if name in _UNARY:
        return _rounded(_UNARY[name](known) if known else _of_anything(name), first)
    if name in _COMPARING:
        return _compared(name, known, bound)
    if name in ("triu", "tril"):
        return _triangle(name, known, first, bound)
    if name in ("add", "sub") and _is_masking(known, bound):
        return Range(row=-INF)
    if name in ("zero", "fill"):
        return exactly([0]) if name == "zero" else of(bound.get("value"))
    if name in ("where", "masked_fill"):
        return _chosen(name, bound)
    if name == "cosine_similarity":
        return between(-1.0, 1.0, -1.0, 1.0, source="cosine_similarity")
    if name in ("pow", "mul") and _is_square(name, bound):
        return _rounded(square(known or ANY), first)
    if name in ("clamp", "clamp_min", "clamp_max"):
        return _clamped(known or ANY, bound)
    if known is None:
        return MOVED if name in ("add", "sub") and _is_small(list(bound.values())[1:2]) else None
    if name in _KEEP:
        return known if name in _KEEP_ROWS else known._replace(row=None)
    if name in _PART:
        return _part(name, known, bound)
    if name in ("sum", "nansum"):
        return _summed(known, bound)
    return _of_two(name, known, first, bound)


_OF_ANYTHING = frozenset((
    *_UNARY, *_COMPARING, "triu", "tril", "add", "sub", "zero", "fill", "where", "masked_fill", "cosine_similarity",
    "pow", "mul", "clamp", "clamp_min", "clamp_max",
))  # fmt: skip
"""Operations of which the result is known, in some cases, though nothing is known of the first argument."""


@cache
def _of_anything(name: str) -> Range:
    return _UNARY[name](ANY)


def _rounded(found: Range, first: Value | None) -> Range:
    """Numbers as a tensor in single precision holds them."""
    if not isinstance(first, Tensor) or first.fields.get("exact") != "float32":
        return found
    return _in_single_precision(found)


@lru_cache(1024)
def _in_single_precision(found: Range) -> Range:
    return found._replace(low=_single(found.low), high=_single(found.high), has=_each(_single, found.has))


def _is_square(name: str, bound: dict[str, Value]) -> bool:
    one, other, *_ = bound.values() if len(bound) > 1 else (None, None)
    if name == "mul":
        return one is other
    return isinstance(other, Host) and other.value == 2


def _is_small(values: list[Value]) -> bool:
    """Is a number such as 1e-8 added, of which the square is more than 0, too?"""
    number = values[0].value if values and isinstance(values[0], Host) else None
    return isinstance(number, float) and 1e-18 < abs(number) < 1e-2


def _part(name: str, known: Range, bound: dict[str, Value]) -> Range:
    if known.constant:
        return known
    known = known._replace(row=None)
    everything = name in ("mean", "amax", "amin", "max", "min") and "dim" not in bound
    return known._replace(has=frozenset(), comes_to=frozenset() if everything else known.comes_to)


def _summed(known: Range, bound: dict[str, Value]) -> Range:
    low = 0.0 if known.low >= 0 else -INF
    high = 0.0 if known.high <= 0 else INF
    if known.constant and known.low == 0:
        return known
    # All elements at once are 0 in a row, but hardly in a whole tensor.
    reached = frozenset((0.0,)) if 0.0 in known.comes_to and 0.0 in (known.low, known.high) and "dim" in bound else ()
    source = "squares" if known.source == "square" else known.source
    return Range(low, high, frozenset(), frozenset(reached), source)


def _clamped(given: Range, bound: dict[str, Value]) -> Range | None:
    low, high = of(bound.get("min")), of(bound.get("max"))
    if ("min" in bound and not _is_none(bound["min"]) and low is None) or (
        "max" in bound and not _is_none(bound["max"]) and high is None
    ):
        return None
    least = low.low if low is not None and low.constant else -INF
    most = high.high if high is not None and high.constant else INF
    found = _increasing(lambda number: min(max(number, least), most))(given)
    reached = found.comes_to | ({least} if given.low < least else set()) | ({most} if given.high > most else set())
    return found._replace(comes_to=frozenset(reached), source=given.source or "clamp")


def _is_none(value: Value) -> bool:
    return isinstance(value, Host) and value.kind == "none"


_INFINITE = frozenset((INF, -INF))


def _chosen(name: str, bound: dict[str, Value]) -> Range | None:
    """`where` and `masked_fill`: elements of one or of the other."""
    names = ("condition", "input", "other") if name == "where" else ("mask", "value", "input")
    test, one, other = (of(bound.get(part)) for part in names)
    if test is not None and test.constant:
        return one if test.low else other
    filled = one.low if test is not None and test.full_row == 1 and one is not None and one.constant else None
    # Whoever masks with infinity does so to some elements.
    masks = one.has & _INFINITE if name == "masked_fill" and one is not None else frozenset()
    if one is None or other is None:
        return Range(comes_to=masks, row=filled) if masks or filled is not None else None
    # Whoever chooses element by element may well do so to stay away from what one side comes to.
    comes_to = one.comes_to | other.comes_to | masks if name == "masked_fill" else frozenset()
    return Range(
        min(one.low, other.low), max(one.high, other.high), frozenset(), comes_to, one.source or other.source, filled
    )


_TESTS = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def _compared(name: str, known: Range | None, bound: dict[str, Value]) -> Range:
    """What a comparison or negation gives: 0 or 1."""
    row = None if known is None else known.full_row
    if row is not None and name in _TESTS:
        other = of(bound.get("other"))
        row = float(_TESTS[name](row, other.low)) if other is not None and other.constant else None
    elif row is not None:
        # Of integers, `~` is something else.
        row = 1.0 - row if name in ("logical_not", "bitwise_not") and row in (0.0, 1.0) else None
    return Range(0.0, 1.0, row=row, first=known is not None and known.first)


def as_bool(known: Range) -> Range:
    """What a conversion to booleans gives."""
    if known.constant:
        return exactly([float(known.low != 0)])
    return Range(0.0, 1.0, row=None if known.row is None else float(known.row != 0), first=known.first)


def _triangle(name: str, known: Range | None, first: Value | None, bound: dict[str, Value]) -> Range | None:
    """`triu` keeps the whole first row up to the diagonal 0, `tril` of a square the last one from the diagonal 0 on.
    Beyond the diagonal 0, `tril` leaves nothing of the first row, and `triu` of a square nothing of the last one."""
    given = bound.get("diagonal")
    diagonal = 0 if given is None else given.value if isinstance(given, Host) else None
    if known is None or not known.constant or not isinstance(diagonal, int):
        return None
    shape = first.shape if isinstance(first, Tensor) else None
    is_square = shape is not None and len(shape) > 1 and shape[-1] is not None and shape[-1] == shape[-2]
    full = diagonal <= 0 if name == "triu" else diagonal >= 0 and is_square
    empty = diagonal < 0 if name == "tril" else diagonal > 0 and is_square
    row = known.low if full else 0.0 if empty else None
    at_start = diagonal <= 0 if name == "triu" else diagonal < 0
    return Range(min(known.low, 0.0), max(known.high, 0.0), row=row, first=at_start)


def of_corner(known: Range | None) -> Range | None:
    """What is known of `mask[:n, :m]`: a row that is full at the beginning still is."""
    return known if known is not None and known.row is not None and known.first else None


def _is_masking(known: Range | None, bound: dict[str, Value]) -> bool:
    """Is something added to a row of which every element is minus infinity?"""
    if len(bound) != 2:
        return False
    other = of(bound.get("other"))
    return (known is not None and known.full_row == -INF) or (other is not None and other.full_row == -INF)


def _scaled(given: Range, factor: float) -> Range:
    ends = sorted(_times(end, factor) for end in (given.low, given.high))

    def change(number: float) -> float:
        return _times(number, factor)

    return Range(ends[0], ends[1], _each(change, given.has), _each(change, given.comes_to), given.source)


def _times(one: float, other: float) -> float:
    return 0.0 if 0.0 in (one, other) else one * other


def _shifted(given: Range, number: float) -> Range:
    return _increasing(lambda value: value + number)(given)


def _of_two(name: str, one: Range, first: Value | None, bound: dict[str, Value]) -> Range | None:
    """Arithmetic of a tensor with a number, or with another tensor."""
    second = bound.get("other")
    other = of(second)
    if other is None or "alpha" in bound or "rounding_mode" in bound:
        return None
    if name in ("add", "sub", "__rsub__"):
        if name == "sub":
            other = _scaled(other, -1.0)
        elif name == "__rsub__":
            one = _scaled(one, -1.0)
        found = _sum_of(one, other)
    elif name == "mul":
        found = _product_of(one, other)
    elif name == "div" and other.constant and other.low != 0:
        found = _scaled(one, 1 / other.low)
    else:
        return None
    return _rounded(found, first)


def _sum_of(one: Range, other: Range) -> Range:
    if other.constant:
        return _shifted(one, other.low)
    if one.constant:
        return _shifted(other, one.low)
    both = 0.0 in one.comes_to and 0.0 in other.comes_to and min(one.low, other.low) == 0
    reached = frozenset((0.0,)) if both else frozenset()
    return Range(one.low + other.low, one.high + other.high, frozenset(), reached, one.source)


def _product_of(one: Range, other: Range) -> Range:
    if other.constant:
        return _scaled(one, other.low)
    if one.constant:
        return _scaled(other, one.low)
    ends = [_times(a, b) for a in (one.low, one.high) for b in (other.low, other.high)]
    return Range(min(ends), max(ends))
