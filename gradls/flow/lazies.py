"""Parameters of lazy modules, which have no shape and no memory before the first call of their module."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow.arguments import Call
from gradls.flow.values import Bound, Lib, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

LAZY = "lazy"
"""The field of a parameter that is True as long as it is not initialized."""
_ALLOWED = frozenset((
    "size", "is_complex", "half", "float", "double", "char", "short", "int", "long", "cuda", "cpu", "to",
    "get_device", "materialize", "share_memory_", "copy_", "__hash__", "__repr__", "__deepcopy__",
))  # fmt: skip
_ALLOWED_FUNCTIONS = ("torch.is_tensor", "torch.save", "torch.nn.utils.clip", "torch.nn.Parameter")


def is_lazy(value: Value) -> bool:
    """Is it certain that this is a parameter which is not initialized?"""
    if not isinstance(value, Tensor) or value.fields.get(LAZY) is not True or value.fields.get("*escaped"):
        return False
    return value.owner is None or not value.owner.fields.get("*escaped")


def check_call(run: Run, function: Value, call: Call) -> None:
    """Write down that a method or an operation is called with a parameter that is not initialized."""
    if isinstance(function, Bound):
        if isinstance(function.receiver, Tensor) and function.name not in _ALLOWED:
            note(run, [function.receiver], call.node)
        elif isinstance(function.receiver, Tensor) and function.name == "materialize":
            run.state.set(function.receiver.fields, LAZY, False)
    elif isinstance(function, Lib) and _needs_values(function.path):
        parts = [value.items if isinstance(value, Sequence) else (value,) for value in call.values]
        note(run, [value for some in parts for value in some], call.node)


def _needs_values(path: str) -> bool:
    """Does a function of a library look into the tensors that it is given?"""
    if path.startswith(_ALLOWED_FUNCTIONS):
        return False
    return path.startswith("torch.nn.init.") or find_op(path) is not None


def note(run: Run, values: Iterable[Value], at: ast.AST) -> None:
    for value in values:
        if is_lazy(value):
            run.event("uninitialized", at, value)
            return
