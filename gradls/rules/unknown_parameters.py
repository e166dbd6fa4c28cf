"""What optimizers are given that was made of the parameters of models of which nothing else is known."""

from __future__ import annotations

from gradls.autograd.ops import find_op
from gradls.flow.graph import Node
from gradls.flow.models.unknowns import MAY_BE_THE_SAME
from gradls.flow.unknown_modules import STATE_OF, modules_behind
from gradls.flow.values import Sequence, Tensor, Unknown, Value
from gradls.flow.wholes import LIKE
from gradls.rules.loss_arguments import history


def results_in(group: Value) -> Node | None:
    """Where the elements of a group are computed, if all are results of operations on such parameters."""
    if not isinstance(group, Sequence) or not group.elements:
        return None
    found = [_result(element) for element in group.elements]
    return found[0] if all(node is not None for node in found) else None


def _result(value: Value) -> Node | None:
    """Where a tensor is computed that requires grad, and is no leaf, if the parameter that it is computed from does."""
    value = value.fields.get(LIKE, value) if isinstance(value, Unknown) else value
    if not isinstance(value, Unknown) or value.plain or value.unrecorded:
        return None
    node = history(value)
    if node is None or node.kind != "opaque" or not node.get("pure") or len(node.edges) != 1:
        return None
    op = find_op(f"torch.Tensor.{node.op}")
    if op is None or op.inplace or op.name in MAY_BE_THE_SAME:
        return None
    if not op.outputs or op.outputs[0].gradient in ("none", "zero"):
        return None
    given = node.edges[0].node
    source = given.get("value")
    is_parameter = isinstance(source, Unknown) and bool(modules_behind(source))
    return node if is_parameter or (source is None and _is_result_of_parameter(given)) else None


def _is_result_of_parameter(node: Node) -> bool:
    """Is it itself what something like `to()` gave for a parameter?"""
    source = node.edges[0].node.get("value") if len(node.edges) == 1 and node.get("pure") else None
    return isinstance(source, Unknown) and bool(modules_behind(source))


def is_of_state(value: Value) -> bool:
    """Is it an entry of a `state_dict()`, known or not?"""
    if isinstance(value, Tensor):
        edges = value.node.edges if value.node.kind == "phi" else ()
        nodes = [edge.node for edge in edges] or [value.node]
        return value.requires_grad is False and all(node.op == "state_dict" for node in nodes)
    return isinstance(value, Unknown) and (STATE_OF in value.fields or _is_of_unknown_state(value))


def _is_of_unknown_state(value: Unknown) -> bool:
    """Is it an element of what `values()` gives of what `state_dict()` gives of something unknown?"""
    given = value.fields.get("iterated", value)
    values = history(given) if isinstance(given, Unknown) else None
    state = values.edges[0].node if values is not None and values.op == "values" and len(values.edges) == 1 else None
    return state is not None and state.op == "state_dict" and len(state.edges) == 1


def state_in(given: Value) -> tuple[Value, ...]:
    """What an optimizer is given, if all of that is the values of a `state_dict()`; nothing otherwise."""
    values = given.elements if isinstance(given, Sequence) else (given,)
    return values if values and all(is_of_state(value) for value in values) else ()
