"""Experiments on real PyTorch: run something, write to one of its tensors in place, and see whether backward raises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

# The experiments are tiny: more threads only wait for each other.
torch.set_num_threads(1)
# torch.manual_seed also seeds devices that are not there, which costs a millisecond: use torch.default_generator.

OVERWRITTEN = "modified by an inplace operation"
FREED = "Trying to backward through the graph a second time"
ERRORS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AssertionError, AttributeError)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dictionaries."""
    return [leaf for leaf in _pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def write(tensor: Tensor) -> bool:
    """Write to a tensor in place without changing a value. False if PyTorch does not let one."""
    try:
        with torch.no_grad():
            if tensor.dtype == torch.bool:
                tensor.bitwise_and_(True)
            else:
                tensor.add_(0)
    except (RuntimeError, NotImplementedError):
        return False
    return True


def backward_outcome(outputs: Iterable[Tensor], keep: bool = False) -> str:
    """Run backward from all outputs: "ok", "overwritten", "freed", "raises" (no derivative) or "error". It uses no
    operation of its own, which could save or free something."""
    wanted = [output for output in outputs if output.requires_grad]
    try:
        torch.autograd.backward(wanted, [torch.rand_like(output) + 0.5 for output in wanted], retain_graph=keep)
    except ERRORS as error:
        text = str(error)
        if OVERWRITTEN in text:
            return "overwritten"
        if FREED in text:
            return "freed"
        return "raises" if "not implemented" in text else "error"
    return "ok"


def saves(run: Callable[[], tuple[Any, Tensor]]) -> bool | None:
    """Whether backward keeps a tensor. `run` gives a result and that tensor; None if the experiment says nothing."""
    result, tensor = run()
    outputs = tensors_in(result)
    if not any(output.requires_grad for output in outputs) or not write(tensor):
        return None
    outcome = backward_outcome(outputs)
    return outcome == "overwritten" if outcome in ("ok", "overwritten") else None


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, without self, * and **."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function).parameters.values()
    return [item.name for item in parameters if item.kind not in kinds and item.name != "self"]


def literal_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a function's parameters that are numbers, strings, booleans or None."""
    return {
        item.name: item.default
        for item in inspect.signature(function).parameters.values()
        if item.default is None or isinstance(item.default, (bool, int, float, str))
    }


def version() -> str:
    return torch.__version__.partition("+")[0]
