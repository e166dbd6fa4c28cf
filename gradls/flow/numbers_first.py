"""Older signatures with numbers in between, which PyTorch still takes, with a warning: `total.add_(0.1, gradient)`."""

from __future__ import annotations

from gradls.flow.values import Host, Value

_TENSORS = {
    "add": 2, "sub": 2, "addcmul": 3, "addcdiv": 3, "addmm": 3, "addmv": 3, "addr": 3, "addbmm": 3, "baddbmm": 3,
}  # fmt: skip
"""How many tensors these operations take; what they are given beyond that are numbers."""
_NUMBERS = {"add": ("alpha",), "sub": ("alpha",), "addcmul": ("value",), "addcdiv": ("value",)}


def reordered(name: str, args: list[Value], kwargs: dict[str, Value]) -> tuple[list[Value], dict[str, Value]]:
    """The arguments of an operation, tensors first and the numbers by name."""
    name = name.rstrip("_")
    more = len(args) - _TENSORS.get(name, len(args))
    names = _NUMBERS.get(name, ("beta", "alpha"))
    if not 0 < more <= len(names):
        return args, kwargs
    places = [place for place, value in enumerate(args) if isinstance(value, Host)]
    if len(places) != more:
        # Which are the numbers, nothing but the order in which methods take them tells.
        places = list(range(1, 1 + more))
    tensors = [value for place, value in enumerate(args) if place not in places]
    numbers = [args[place] for place in places]
    return tensors, {**dict(zip(names, numbers, strict=False)), **kwargs}
