"""Typical calls of every operation: PyTorch's own sample database, and our own where that has none."""

from __future__ import annotations

import sys
import types
import unittest
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from gradls.autograd.generate.measure import tensors_in

MOST = 8
"""How many samples of one operation are tried."""


@dataclass(slots=True)
class Sample:
    """Arguments of one call; for a method the first is the tensor that it is called on."""

    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def fresh(self) -> tuple[list[Any], dict[str, Any]]:
        """The same with copies of all tensors; none requires grad."""
        return _pytree.tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, self._tree())

    def _tree(self) -> Any:
        return (self.args, self.kwargs)

    def is_usual(self) -> bool:
        """Whether all tensors have elements: backward of nothing shows nothing."""
        return all(tensor.numel() > 0 for tensor in tensors_in(self._tree()))


@cache
def database() -> dict[str, Any]:
    """From the names of PyTorch's own operation database to its entries."""
    if "expecttest" not in sys.modules:
        # The database is in a module that imports a test helper which it does not need for this.
        stub = types.ModuleType("expecttest")
        stub.TestCase = unittest.TestCase  # type: ignore[attr-defined]
        stub.assert_expected_inline = None  # type: ignore[attr-defined]
        sys.modules["expecttest"] = stub
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    found: dict[str, list[Any]] = defaultdict(list)
    for entry in op_db:
        for name in (entry.name, *(alias.name for alias in entry.aliases)):
            found[name].append(entry)
    return dict(found)


def names_in_database(spelling: str) -> list[str]:
    """Under which names the database may know an operation, the likeliest first."""
    prefix, _, last = spelling.rpartition(".")
    plain = last if last.startswith("__") else last.rstrip("_")
    names = [spelling.removeprefix("torch.")]
    if prefix in ("torch", "torch.Tensor", "torch.nn.functional"):
        names += [f"nn.functional.{plain}"] if prefix == "torch.nn.functional" else [plain, f"nn.functional.{plain}"]
    else:
        names.append(f"{prefix.removeprefix('torch.')}.{plain}")
    return names


@cache
def samples(spelling: str) -> tuple[Sample, ...]:
    """Typical calls of the operation with this spelling, the most typical first."""
    from gradls.autograd.generate.own_samples import OWN

    for key in (spelling, spelling.rpartition(".")[2], base_name(spelling)):
        if key in OWN:
            torch.default_generator.manual_seed(0)
            return tuple(OWN[key]())
    for name in names_in_database(spelling):
        if name in database():
            return tuple(_from_database(name))
    return ()


DUNDERS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "neg": "neg", "pos": "positive", "abs": "abs",
    "invert": "bitwise_not", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
"""From the words of operators to the methods that do the same."""


def base_name(spelling: str) -> str:
    """The last part of a spelling without what says that it is in place."""
    last = spelling.rpartition(".")[2]
    if last.startswith("__"):
        return last
    return last.rstrip("_")


def _from_database(name: str) -> Iterator[Sample]:
    count = 0
    for entry in database()[name]:
        dtype = torch.float32
        if not entry.supports_dtype(dtype, "cpu"):
            supported = entry.supported_dtypes("cpu")
            if not supported:
                continue
            dtype = torch.int64 if torch.int64 in supported else sorted(supported, key=str)[0]
        torch.default_generator.manual_seed(0)
        taken = 0
        try:
            for item in entry.sample_inputs("cpu", dtype, requires_grad=False):
                sample = Sample([item.input, *item.args], dict(item.kwargs))
                if sample.is_usual():
                    yield sample
                    taken += 1
                if taken >= MOST:
                    break
        except (RuntimeError, ImportError):
            continue
        count += taken
        if count >= MOST:
            return


Make = Callable[[], list[Sample]]
