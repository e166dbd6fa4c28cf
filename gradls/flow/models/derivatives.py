"""torch.autograd.functional: derivatives of a function at a point, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge, Node
from gradls.flow.models.function_transforms import depends, fault, inside, seen
from gradls.flow.models.registry import function
from gradls.flow.operations import cut_node, derived_tensor
from gradls.flow.reach import walk
from gradls.flow.values import Host, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run

_SINGLE = ("hessian", "vhp", "hvp")
"""Those whose function has to return one number."""


@function(*(f"torch.autograd.functional.{name}" for name in ("jacobian", "jvp", "vjp", *_SINGLE)))
def functional(run: Run, path: str, call: Call) -> Value:
    """Has history only with `create_graph=True`."""
    kind = path.rpartition(".")[2]
    create = truth.truth(run, call.kwargs["create_graph"]) if "create_graph" in call.kwargs else False
    result = None if call.unsure else _evaluated(run, kind, call)
    run.event("functional", call.node, call.get(0, "func"), path=path, create_graph=create)
    if create is not False or kind in ("jvp", "vjp", "vhp", "hvp"):
        return run.unknown("call", path)
    edges = [*derived_tensor(run, path, call.args[1:], call.node).node.edges, *_leaves_in(result)]
    node = cut_node(run, "grad", kind, edges, run.at(call.node))
    node.label = "grad"
    return Tensor(run.state, node, requires_grad=False, leaf=True, dtype="float")


def _leaves_in(result: Value | None) -> list[Edge]:
    """The tensors from outside of the function, such as parameters, on which its result depends."""
    nodes = [node for part in _tensors(result) for node in walk(part.node) if node.leaf is not None]
    return [Edge(node, True) for node in dict.fromkeys(nodes) if node.leaf is not None and node.leaf.is_parameter]


def _tensors(value: Value | None) -> list[Tensor]:
    return [part for part in tensors_in(value) if isinstance(part, Tensor)] if value is not None else []


def _evaluated(run: Run, kind: str, call: Call) -> Value | None:
    """Run the function, and write down what is wrong with what goes into it or comes out."""
    target, inputs = call.get(0, "func"), call.get(1, "inputs")
    if target is None or inputs is None:
        return None
    given = inputs.items if isinstance(inputs, Sequence) and inputs.rest is None else (inputs,)
    if isinstance(inputs, Host):
        fault(run, call.node, "not-tensor", kind)
        return None
    arguments = [seen(run, part, part.shape) if isinstance(part, Tensor) else part for part in given]
    mark = run.state.mark()
    result, _ = inside(run, target, arguments, call)
    run.state.undo(mark)
    fresh = {part.node for part in arguments if isinstance(part, Tensor)}
    _check(run, kind, call, given, result, fresh)
    return result


def _check(run: Run, kind: str, call: Call, given: tuple[Value, ...], result: Value, fresh: set[Node]) -> None:
    if isinstance(result, (Host, Mapping)) or (isinstance(result, Sequence) and result.kind == "list"):
        fault(run, call.node, "needs-tensor", kind)
    elif kind in _SINGLE and (_has_several(result) or isinstance(result, Sequence)):
        fault(run, call.node, "single-element", kind)
    elif kind == "vjp" and _is_missing(call.get(2, "v")) and (_has_several(result) or isinstance(result, Sequence)):
        fault(run, call.node, "no-vector", kind)
    elif kind in ("jvp", "vhp", "hvp") and _is_missing(call.get(2, "v")) and any(_has_several(part) for part in given):
        fault(run, call.node, "no-input-vector", kind)
    elif _is_strict(run, call) and isinstance(result, Tensor) and _misses(result, fresh):
        fault(run, call.node, "independent", kind)


def _is_strict(run: Run, call: Call) -> bool:
    return "strict" in call.kwargs and truth.truth(run, call.kwargs["strict"]) is True


def _is_missing(value: Value | None) -> bool:
    return value is None or is_none(value)


def _has_several(value: Value | None) -> bool:
    """Does a tensor have more than one element?"""
    shape = value.shape if isinstance(value, Tensor) else None
    return shape is not None and any(size is not None and size > 1 for size in shape) and 0 not in shape


def _misses(result: Tensor, fresh: set[Node]) -> bool:
    """Is all that a tensor was computed from in sight, and none of `fresh` among it?"""
    return all(node.kind != "opaque" for node in walk(result.node)) and not depends([result.node], fresh)
