"""NumPy: arrays that remember which tensors they were read from."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.graph import Edge, Write
from gradls.flow.models.registry import method
from gradls.flow.models.tensors import history_edges
from gradls.flow.operations import cut_node, tensors_in
from gradls.flow.values import NONE, Host, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.calls import Call
    from gradls.flow.run import Run


def reader(run: Run, path: str, call: Call) -> Value:
    """A function that turns its arguments into arrays."""
    edges = [edge for value in call.values for edge in history_edges(value)]
    tensors = [part for value in call.values for part in tensors_in(value) if isinstance(part, Tensor)]
    if tensors:
        requiring = frozenset(tensor for tensor in tensors if tensor.requires_grad is True)
        run.event(
            "numpy-function",
            call.node,
            tensors[0],
            tensors[0].node,
            function=path,
            requiring=requiring,
            arguments=call.values,
        )
    return array(run, path, edges, call)


def array(run: Run, path: str, edges: list[Edge], call: Call) -> Instance:
    result = Instance(run.state, run.lib("numpy.ndarray"), run.at(call.node))
    if edges:
        result.data["node"] = cut_node(run, "numpy", path, edges, run.at(call.node))
    return result


@method(
    "numpy.ndarray",
    "copy",
    "astype",
    "reshape",
    "mean",
    "sum",
    "squeeze",
    "transpose",
    "flatten",
    "ravel",
    "clip",
    "max",
    "min",
)
def array_method(run: Run, receiver: Instance, call: Call) -> Value:
    edges = [Edge(receiver.data["node"], False)] if "node" in receiver.data else []
    return array(run, "numpy", edges, call)


def operator(run: Run, values: list[Value], node: ast.expr) -> Instance:
    """An operator with an array on one side or both."""
    from gradls.flow.calls import Call as NewCall

    return array(run, "numpy", [edge for value in values for edge in history_edges(value)], NewCall(node, values))


@method("numpy.ndarray", "__setitem__", "fill", "sort", "put")
def write(run: Run, receiver: Instance, call: Call) -> Value:
    """Writes to the memory of the tensor that the array was read from, which nobody counts."""
    from gradls.flow.writes import hide

    storage = receiver.data.get("storage")
    if storage is not None:
        name = getattr(getattr(call.node, "func", None), "attr", "__setitem__")
        done = Write(run.at(call.node), name, run.path)
        done.clock = run.state.clock
        hide(run, storage, done)
    return NONE


@method("numpy.ndarray", "item", "tolist")
def item(run: Run, receiver: Instance, call: Call) -> Value:
    return Host("float", node=receiver.data.get("node"))


@method("numpy.ndarray", "__getitem__")
def get_item(run: Run, receiver: Instance, call: Call) -> Value:
    return array_method(run, receiver, call)
