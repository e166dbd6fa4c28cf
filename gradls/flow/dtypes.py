"""The dtype class of results: float, int, bool, complex or unknown (None); and the one floating dtype, where known."""

from __future__ import annotations

from gradls.autograd.ops import Op, Output
from gradls.flow.contents import tensors_in
from gradls.flow.values import Host, Lib, Sequence, Tensor, Unknown, Value

OF_NAME = {
    **dict.fromkeys(("float", "float16", "float32", "float64", "half", "double", "bfloat16", "float8_e4m3fn"), "float"),
    **dict.fromkeys(("int", "int8", "int16", "int32", "int64", "long", "short", "uint8", "byte", "char"), "int"),
    "bool": "bool",
    **dict.fromkeys(("complex64", "complex128", "cfloat", "cdouble", "complex32", "chalf"), "complex"),
}
_METHODS = {
    **dict.fromkeys(("float", "double", "half", "bfloat16"), "float"),
    **dict.fromkeys(("long", "int", "short", "byte", "char"), "int"),
    "bool": "bool",
}
_RANK = {"bool": 0, "int": 1, "float": 2, "complex": 3}


_EXACT = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "byte": "uint8",
    "char": "int8",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "chalf": "complex32",
}


def exactly(value: Value | None) -> str | None:
    """The one dtype that a `dtype=` argument names, such as "float32"."""
    if not isinstance(value, Lib) or not value.path.startswith("torch.") or "some" in value.fields:
        return None
    name = value.path.removeprefix("torch.")
    return _EXACT.get(name, name) if name in OF_NAME else None


def integers(given: Value | None, follows: bool) -> str | None:
    """The dtype of a new tensor of integers, where `dtype=` names it, or none is given and it does not follow
    what the tensor is made of."""
    if given is None or (isinstance(given, Host) and given.kind == "none"):
        return None if follows else "int64"
    return exactly(given)


def kind_of(value: Value) -> str | None:
    """The class of a value that is a dtype itself, or one of several of a class."""
    path = value.path if isinstance(value, Lib) else ""
    return OF_NAME.get(path.removeprefix("torch.")) if path.startswith("torch.") else None


def same(one: Value, other: Value) -> bool | None:
    """Are two values the same dtype? None if they are none, or if that is not known."""
    kinds = kind_of(one), kind_of(other)
    if None in kinds:
        return None
    if kinds[0] != kinds[1]:
        return False
    names = exactly(one), exactly(other)
    return kinds[0] == "bool" or (None if None in names else names[0] == names[1])


def is_no_dtype(value: Value) -> bool:
    """Is an argument of a conversion certainly no dtype, but a device or an option?"""
    return isinstance(value, Host) or (isinstance(value, Unknown) and value.name == "torch.device")


def of_value(value: Value | None) -> str | None:
    """The dtype class that a `dtype=` argument names; None if it is not known."""
    if isinstance(value, Lib):
        name = value.path.rpartition(".")[2]
        return OF_NAME.get(name.removesuffix("Tensor").lower() or "float") if name else None
    if isinstance(value, Host) and isinstance(value.value, str):
        name = value.value.rpartition(".")[2]
        return OF_NAME.get(name.removesuffix("Tensor").lower() or "float")
    return None


def of_data(value: Value | None) -> str | None:
    """The dtype class of a tensor that is made of Python data."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, Host):
        return value.kind if value.kind in _RANK else None
    if isinstance(value, Sequence):
        if not value.elements:
            return "float"
        classes = {of_data(item) for item in value.elements}
        if None in classes:
            return None
        return max((name for name in classes if name is not None), key=_RANK.__getitem__)
    return None


def promote(values: list[Value]) -> str | None:
    """The dtype class of an element-wise result."""
    best: str | None = "bool"
    known = True
    for value in values:
        name = of_data(value) if isinstance(value, (Tensor, Host)) else None
        if isinstance(value, Host) and value.kind == "none":
            continue
        if name is None:
            known = False
        elif best is not None and _RANK[name] > _RANK[best]:
            best = name
    if not known:
        return best if best in ("complex",) else ("float" if best == "float" else None)
    return best


def _first_tensor(op: Op, bound: dict[str, Value]) -> Value | None:
    """The first argument that has a gradient: torch.where has its condition first. Without one, the first of all."""
    others: Value | None = None
    for name, value in bound.items():
        if type(value) is Host:
            continue
        for tensor in tensors_in(value):
            if name in op.differentiable:
                return tensor
            others = others or tensor
            break
    return others


def of_result(op: Op, output: Output, bound: dict[str, Value]) -> str | None:
    """The dtype class of one result of an operation."""
    given = bound.get("dtype")
    if given is not None and not (isinstance(given, Host) and given.kind == "none"):
        return of_value(given)
    if op.shape == "loss":
        return "float"
    rule = output.dtype
    if rule in ("int", "bool", "float", "complex"):
        return rule
    if rule == "unknown":
        return None
    if rule == "promote":
        return promote(list(bound.values()))
    if op.name == "where" and op.params[0] == "condition" and "other" in op.params:
        return promote([value for name, value in bound.items() if name in ("input", "other")])
    if op.name in _JOINING:
        parts = [tensor for value in bound.values() for tensor in tensors_in(value)]
        return promote(parts) if parts else None
    if rule == "argument" and op.name in _METHODS:
        return _METHODS[op.name]
    first = _first_tensor(op, bound)
    if op.factory and first is None:
        return "float"
    if not isinstance(first, Tensor):
        return None
    if first.dtype == "bool" and op.name in ("sum", "prod", "nansum", "cumsum", "cumprod"):
        return "int"
    if first.dtype == "bool" and op.name in ("sum", "cumsum", "prod", "cumprod", "trace", "bincount"):
        return "int"
    # Of complex numbers, many operations (abs, norms, decompositions) give real ones.
    return None if first.dtype == "complex" and op.name not in _STAY_COMPLEX else first.dtype


_JOINING = frozenset(
    ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack")
)
"""Operations on a list of tensors of which the result has the largest dtype."""
_WIDTH = {"bfloat16": 1, "float16": 1, "float32": 2, "float64": 3}


def exact(tensor: Tensor) -> str | None:
    """The floating dtype of a tensor, such as "float32", where it is known."""
    fields = tensor.fields
    return None if fields["leaf"] is not False and fields.get("*escaped") else fields.get("exact")


def exact_of_result(output: Output, bound: dict[str, Value]) -> str | None:
    """The floating dtype of a floating result of an operation on tensors, where it is known and no autocast is
    around."""
    given = bound.get("dtype")
    if given is not None and not (isinstance(given, Host) and given.kind == "none"):
        return exactly(given)
    found = set()
    for value in bound.values():
        if type(value) is Host:
            continue
        for part in tensors_in(value):
            if type(part) is not Tensor or part.dtype is None:
                return None
            if part.dtype == "float":
                found.add(exact(part))
    if len(found) == 1:
        return found.pop()
    if output.dtype != "promote" or None in found or not found or {"bfloat16", "float16"} <= found:
        return None
    # A tensor without dimensions does not widen one that has some.
    parts = [part for value in bound.values() for part in tensors_in(value)]
    if any(isinstance(part, Tensor) and not part.shape for part in parts):
        return None
    return max((name for name in found if name is not None), key=lambda name: _WIDTH.get(name, 0))


_STAY_COMPLEX = frozenset((
    "sum", "mean", "neg", "exp", "conj", "clone", "select", "view", "reshape", "transpose", "permute", "squeeze",
    "unsqueeze", "flatten", "stack", "cat", "matmul", "mm", "bmm", "index", "alias", "expand", "to", "contiguous",
    "fft", "ifft", "fft_fft", "fft_ifft", "cumsum", "outer",
))  # fmt: skip


def is_computed_in_half(name: str) -> bool:
    """Does autocast compute the operation with this name in half precision, with copies of single precision tensors?"""
    return name.strip("_") in _IN_HALF or name.startswith("conv")


_IN_HALF = frozenset((
    "matmul", "rmatmul", "imatmul", "mm", "bmm", "mv", "addmm", "addbmm", "baddbmm", "addmv", "addr", "chain_matmul",
    "multi_dot", "linear", "einsum", "scaled_dot_product_attention", "prelu", "multi_head_attention_forward",
))  # fmt: skip
