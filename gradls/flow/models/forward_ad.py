"""torch.autograd.forward_ad: dual tensors and the level that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.graph import Node
from gradls.flow.hierarchy import find_in_class, has_unknown_base
from gradls.flow.models.function_transforms import fault
from gradls.flow.models.registry import function, method
from gradls.flow.operations import derived_tensor
from gradls.flow.values import NONE, Class, Host, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

AD = "torch.autograd.forward_ad"
LEVEL = f"{AD}.dual_level"


@function(LEVEL)
def dual_level(run: Run, path: str, call: Call) -> Value:
    """A context manager."""
    return Instance(run.state, run.lib(LEVEL), run.at(call.node))


@method(LEVEL, "__enter__")
def enter(run: Run, receiver: Instance, call: Call) -> Value:
    return enter_dual_level(run, LEVEL, call)


@method(LEVEL, "__exit__")
def leave(run: Run, receiver: Instance, call: Call) -> Value:
    return exit_dual_level(run, LEVEL, call)


@function(f"{AD}.enter_dual_level")
def enter_dual_level(run: Run, path: str, call: Call) -> Value:
    if run.outside["dual"] is True:
        fault(run, call.node, "nested-level", "forward_ad")
    run.state.set(run.outside, "dual", True)
    return NONE


@function(f"{AD}.exit_dual_level")
def exit_dual_level(run: Run, path: str, call: Call) -> Value:
    run.state.set(run.outside, "dual", False)
    return NONE


@function(f"{AD}.make_dual")
def make_dual(run: Run, path: str, call: Call) -> Value:
    """A tensor with a tangent. Without a level around it raises."""
    primal, tangent = call.get(0, "tensor"), call.get(1, "tangent")
    if run.outside["dual"] is False:
        fault(run, call.node, "no-level", "make_dual")
    elif any(isinstance(part, Host) and part.kind != "none" for part in (primal, tangent)):
        fault(run, call.node, "not-tensor", "make_dual")
    elif any(isinstance(part, Tensor) and part.dtype in ("int", "bool") for part in (primal, tangent)):
        fault(run, call.node, "integer-dual", "make_dual")
    elif isinstance(primal, Tensor) and isinstance(tangent, Tensor) and _differ(primal, tangent):
        fault(run, call.node, "dual-size", "make_dual")
    elif isinstance(primal, Tensor):
        return derived_tensor(run, "make_dual", [primal], call.node, dtype=primal.dtype, shape=primal.shape)
    return run.unknown("call", "make_dual")


def check_custom(run: Run, cls: Class, call: Call) -> None:
    """Write down a custom Function that is given a dual tensor but has no derivative in forward mode."""
    if has_unknown_base(cls) or find_in_class(cls, "jvp")[0] is not None or run.mode["inference"] is not False:
        return  # inference mode computes no tangents
    if any(isinstance(value, Tensor) and value.dtype == "float" and _is_dual(value.node) for value in call.values):
        fault(run, call.node, "no-jvp", "forward_ad")


_PLAIN = ("detach", "detach_", "data", "item", "numpy", "grad")
"""Operations whose result has no tangent."""


def _is_dual(root: Node) -> bool:
    """Does a value have a tangent? Detaching takes it away."""
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        if node.op == "make_dual":
            return True
        if node.kind == "phi" or node.op in _PLAIN or (node.cut is not None and node.cut.kind != "no_grad"):
            continue
        for edge in node.edges:
            if edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    return False


def _differ(one: Tensor, other: Tensor) -> bool:
    if one.shape is None or other.shape is None or None in one.shape or None in other.shape:
        return False
    return one.shape != other.shape
