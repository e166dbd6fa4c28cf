"""NumPy: arrays that remember which tensors they were read from, and their dtype and shape where they are known."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import dtypes
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge, Write
from gradls.flow.models.registry import function, method
from gradls.flow.models.tensors import history_edges
from gradls.flow.operations import cut_node, tensor_method
from gradls.flow.shapes import Shape, of_sizes
from gradls.flow.values import FALSE, NONE, TRUE, Host, Instance, Lib, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
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
            recording=run.recording,
        )
    return array(run, path, edges, call, _exact_of(path, call), _shape_of(path, call))


def array(
    run: Run, path: str, edges: list[Edge], call: Call, exact: str | None = None, shape: Shape | None = None
) -> Instance:
    result = Instance(run.state, run.lib("numpy.ndarray"), run.at(call.node))
    result.data |= {"exact": exact, "shape": shape, "dtype": "float" if exact else None}
    if edges:
        result.data["node"] = cut_node(run, "numpy", path, edges, run.at(call.node))
    return result


@function("numpy.squeeze", "numpy.swapaxes")
def by_method(run: Run, path: str, call: Call) -> Value:
    """NumPy asks what it is given for a method of this name, and a tensor has one."""
    first, name = call.get(0, "a"), path.rpartition(".")[2]
    if not isinstance(first, Tensor) or not call.args or call.unsure or call.kwargs:
        return reader(run, path, call)
    return tensor_method(run, first, name, Call(call.node, call.args[1:]))


@function("numpy.isscalar")
def is_scalar(run: Run, path: str, call: Call) -> Value:
    """Is it a number or a text? No tensor is, and no array."""
    value = call.get(0, "element")
    if isinstance(value, Host) and value.kind in ("int", "float", "bool", "number", "str"):
        return TRUE
    known = isinstance(value, (Tensor, Sequence)) or (isinstance(value, Instance) and value.path == "numpy.ndarray")
    return FALSE if known or (value is not None and is_none(value)) else Host("bool")


_RANDOM = ("rand", "randn", "random", "random_sample", "normal", "uniform", "standard_normal")
_OF_DISTRIBUTIONS = ("loc", "scale", "low", "high")
_FILLED = ("zeros", "ones", "empty", "full")
_ELEMENTWISE = frozenset((
    "sin", "cos", "tan", "tanh", "exp", "log", "sqrt", "square", "abs", "absolute", "clip", "add", "subtract",
    "multiply", "divide", "power", "sum", "mean", "concatenate", "stack", "vstack", "hstack",
))  # fmt: skip


@function(*(f"numpy.random.{name}" for name in _RANDOM))
def random(run: Run, path: str, call: Call) -> Value:
    """Random numbers: float64, or a Python number if no size is given."""
    name = path.rpartition(".")[2]
    if name in ("rand", "randn"):
        sizes = call.args
    else:
        index = 2 if name in ("normal", "uniform") else 0
        given = call.get(index, "size")
        sizes = [] if given is None or is_none(given) else [given]
    # Where they are drawn from may be an array, of which the result has the shape.
    drawn = [*call.args[:2], *(call.kwargs[key] for key in _OF_DISTRIBUTIONS if key in call.kwargs)]
    if call.unsure or (
        name in ("normal", "uniform") and not all(isinstance(value, (Host, Instance, Sequence)) for value in drawn)
    ):
        return run.unknown("call", name)
    if name in ("normal", "uniform") and not sizes and not all(isinstance(value, Host) for value in drawn):
        return array(run, path, [], call, "float64")
    if not sizes:
        return Host("float")
    return array(run, path, [], call, "float64", of_sizes(list(sizes)))


@function("numpy.random.default_rng", "numpy.random.RandomState")
def generator(run: Run, path: str, call: Call) -> Value:
    return Instance(run.state, run.lib("numpy.random.Generator"), run.at(call.node))


@method("numpy.random.Generator", *_RANDOM)
def random_of_generator(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "random")
    return run.unknown("call", name) if "dtype" in call.kwargs else random(run, name, call)


def _exact_of(path: str, call: Call) -> str | None:
    """The floating dtype of the array that a function of NumPy gives, where it is known."""
    name = path.removeprefix("numpy.")
    given = call.kwargs.get("dtype")
    if given is not None:
        return _named(given)
    if name in ("zeros", "ones", "empty", "eye", "identity", "linspace"):
        position = {"linspace": 5, "eye": 3}.get(name, 1)
        return "float64" if len(call.args) <= position and not call.unsure else None
    if name in ("array", "asarray"):
        data = call.get(0, "object", "a")
        if isinstance(data, Instance):
            return data.data.get("exact")
        floats = len(call.args) == 1 and isinstance(data, Sequence) and dtypes.of_data(data) == "float"
        return "float64" if floats and data is not None and not tensors_in(data) else None
    return _common(call.values) if name in _ELEMENTWISE else None


def _common(values: list[Value]) -> str | None:
    """The dtype that arrays have in common; Python's numbers change none."""
    found: set[str | None] = set()
    for value in values:
        if isinstance(value, Sequence) and value.rest is None:
            found.add(_common(list(value.items)))
        elif not isinstance(value, Host):
            found.add(value.data.get("exact") if isinstance(value, Instance) else None)
    return found.pop() if len(found) == 1 else None


def _named(value: Value) -> str | None:
    """The floating dtype that an argument of NumPy names."""
    name = value.path.rpartition(".")[2] if isinstance(value, Lib) else value.value if isinstance(value, Host) else ""
    names = {"float": "float64", "double": "float64", "single": "float32", "half": "float16"}
    name = names.get(name, name)
    return name if name in ("float16", "float32", "float64") else None


def _shape_of(path: str, call: Call) -> Shape | None:
    name = path.removeprefix("numpy.")
    if name in _FILLED and call.args:
        return of_sizes(call.args[:1])
    return None


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
    name = getattr(getattr(call.node, "func", None), "attr", "__getitem__")
    exact, shape = receiver.data.get("exact"), None
    if name == "astype":
        given = call.get(0, "dtype")
        exact = _named(given) if given is not None else None
    if name in ("copy", "astype", "clip"):
        shape = receiver.data.get("shape")
    elif name == "reshape":
        sizes = of_sizes(call.args)
        shape = None if sizes is None else tuple(None if size == -1 else size for size in sizes)
    return array(run, "numpy", edges, call, exact, shape)


def operator(run: Run, values: list[Value], node: ast.expr) -> Instance:
    """An operator with an array on one side or both."""
    edges = [edge for value in values for edge in history_edges(value)]
    return array(run, "numpy", edges, Call(node, values), _common(values))


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
    number = Host("number", node=receiver.data.get("node"))
    whole = getattr(getattr(call.node, "func", None), "attr", "item") == "tolist"
    return Sequence(run.state, "list", (), number) if whole and receiver.data.get("shape") != () else number


@method("numpy.ndarray", "__getitem__")
def get_item(run: Run, receiver: Instance, call: Call) -> Value:
    return array_method(run, receiver, call)
