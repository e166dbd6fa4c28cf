"""What an operation of PyTorch does to gradients.

Parameters are named as Python names them; the tensor that a method is called on is "input". Facts hold for real,
dense tensors on the CPU with grad mode on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from gradls.autograd.data import records


@dataclass(frozen=True, slots=True)
class Saved:
    """A tensor that the node keeps for backward: a write in place to it before backward makes backward raise.

    `what` is a parameter, "result", or "result0", "result1", ... if there are several outputs. It is saved if one of
    the parameters in `gates` requires grad; without gates, whenever the node exists.
    """

    what: str
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of a result.

    `name` is the field of a named tuple, else empty. `gradient`: "flows"; "none", it never requires grad; "zero", it
    requires grad and the gradient is zero everywhere; "raises", it requires grad and backward is not implemented.

    `dtype`: "same" as the first tensor; "promote"d from all operands; "float", the first tensor's if that is floating,
    else the default; "int"; "bool"; "complex"; "argument", the one that a dtype argument (or the method's name) gives,
    else "same"; "data", that of the Python data or array given. Where the operation has a `dtype` parameter and the
    call gives it, that wins. Both words are "unknown" where overloads differ.
    """

    name: str = ""
    gradient: str = "flows"
    dtype: str = "same"


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operation.

    - `params`: Python argument names in positional order; those from number `positional` on are keyword-only.
      `variadic`, if not empty, is the one that takes all positional arguments from its own on as a sequence. `types`
      says of each what it takes: "tensor", "tensors" (a sequence), "number", "int", "ints", "int|ints", "float",
      "bool", "str", "dtype" or "any", with "?" behind it if None is allowed. `defaults` are literal default values,
      `required` the parameters without any default.
    - `differentiable`: the parameters whose gradient flows.
    - `frees_when`: the parameters of which one must require grad for backward to free something of the node, so that a
      second backward through it raises; `frees` if there are any.
    - `raises_when`: the differentiable parameters whose derivative is not implemented; `refuses`: the parameters that
      must not require grad, else the call itself raises.
    - `second`: of a parameter, what its gradient is for a second derivative: "additive", a constant; "linear", a
      constant if no other parameter requires grad; "curved", it has a graph of its own; "raises", that graph has no
      derivative. Parameters of which samples differ, or tell nothing, are left out.
    - `negative`: numbers which, if they are negative, make backward raise.
    - `view`: "no"; "view"; "multi", one of several views, which must not be written in place; "maybe", the same tensor,
      a view or a copy; "expand", a view with overlapping memory.
    - `inplace`: writes to its first tensor and returns it.
    - `shape`: "same" as the first tensor; "broadcast"; "scalar", no dimension left, but "reduce" if a `dim` is given;
      "reduce"; "loss", scalar unless `reduction="none"`; "index"; "unknown".
    - `sequence`: gives a tuple or list with any number of tensors, each as the one output says.
    - `extra`: (parameter, output) pairs: that parameter, if true, adds that output and makes the result a tuple.
    - `factory`: makes a fresh leaf. `python`: gives a value that is no tensor.
    - `written`: the same operation with `inplace=True`, where it has that parameter.
    - `overloads`: the ways to call it, in the order in which PyTorch tries them, if their facts differ. What stands in
      this object then is only what all of them agree on (differentiable parameters: of any of them).
    """

    name: str
    params: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = (Output(),)
    differentiable: frozenset[str] = frozenset()
    saved: tuple[Saved, ...] = ()
    frees: bool = False
    view: str = "no"
    inplace: bool = False
    shape: str = "unknown"
    factory: bool = False
    python: bool = False
    types: tuple[str, ...] = ()
    positional: int = 0
    variadic: str = ""
    required: frozenset[str] = frozenset()
    defaults: tuple[tuple[str, Any], ...] = ()
    frees_when: frozenset[str] = frozenset()
    raises_when: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    second: Mapping[str, str] = field(default_factory=dict)
    negative: tuple[str, ...] = ()
    sequence: bool = False
    extra: tuple[tuple[str, Output], ...] = ()
    written: Op | None = None
    overloads: tuple[Op, ...] = ()


@cache
def find_op(spelling: str) -> Op | None:
    """The operation with this canonical spelling: "torch.exp", "torch.nn.functional.relu", "torch.Tensor.add_",
    "torch.Tensor.__add__", "torch.Tensor.T". None if there is none."""
    index = records("ops")[0]["spellings"].get(spelling)
    return None if index is None else _op(index)


def spellings() -> Iterator[str]:
    """Every spelling that `find_op` knows."""
    return iter(records("ops")[0]["spellings"])


@cache
def _op(index: int) -> Op:
    return op_of(json.loads(records("ops")[1][index]), _op)


def op_of(record: Mapping[str, Any], overload: Callable[[int], Op]) -> Op:
    """The operation that a stored record describes; `overload` finds another by its number."""
    frees_when = frozenset(record.get("frees", "").split())
    params = tuple(record.get("params", "").split())
    types = record.get("types", "").split()
    return Op(
        name=record["name"],
        params=params,
        outputs=tuple(Output(*entry.split("/")) for entry in record.get("outputs", ["/flows/same"])),
        differentiable=frozenset(record.get("differentiable", "").split()),
        saved=tuple(_saved(entry) for entry in record.get("saved", "").split()),
        frees=bool(frees_when),
        view=record.get("view", "no"),
        inplace=record.get("inplace", False),
        shape=record.get("shape", "unknown"),
        factory=record.get("factory", False),
        python=record.get("python", False),
        types=tuple(word.rstrip("=") for word in types),
        positional=record.get("positional", len(params)),
        variadic=record.get("variadic", ""),
        required=frozenset(name for name, word in zip(params, types, strict=True) if not word.endswith("=")),
        defaults=tuple(record.get("defaults", {}).items()),
        frees_when=frees_when,
        raises_when=frozenset(record.get("raises", "").split()),
        refuses=frozenset(record.get("refuses", "").split()),
        second=MappingProxyType(dict(entry.split(":") for entry in record.get("second", "").split())),
        negative=tuple(record.get("negative", "").split()),
        sequence=record.get("sequence", False),
        extra=tuple((param, Output(*entry.split("/"))) for param, entry in record.get("extra", {}).items()),
        written=overload(record["written"]) if "written" in record else None,
        overloads=tuple(overload(other) for other in record.get("overloads", ())),
    )


def _saved(entry: str) -> Saved:
    what, _, gates = entry.partition(":")
    return Saved(what, tuple(gates.split(",")) if gates else ())
