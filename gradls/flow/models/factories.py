"""Functions that make tensors: from nothing, and from data (which drops the history of the data)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import dtypes, ranges, shapes, truth
from gradls.flow.arguments import Call
from gradls.flow.contents import is_plain, tensors_in
from gradls.flow.graph import Edge, Node
from gradls.flow.models.registry import function, method
from gradls.flow.models.tensors import history_edges
from gradls.flow.operations import apply, cut_node
from gradls.flow.values import REFUSED, Choice, Host, Instance, Sequence, Tensor, Unknown, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run

_SIZED = ("zeros", "ones", "empty", "rand", "randn")
_LIKE = ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like", "full_like", "randint_like")
_OTHERS = (
    "full", "randint", "randperm", "arange", "range", "linspace", "logspace", "eye", "empty_strided", "hann_window",
    "hamming_window", "blackman_window", "bartlett_window", "kaiser_window", "triu_indices", "tril_indices",
    "scalar_tensor",
)  # fmt: skip


def _flag(run: Run, call: Call) -> bool | None:
    given = call.kwargs.get("requires_grad")
    return False if given is None else truth.truth(run, given)


def fresh(
    run: Run, call: Call, op: str, dtype: str | None, shape: shapes.Shape | None = None, *, explicit: bool = True
) -> Tensor:
    """A new leaf that a factory call makes."""
    given = call.kwargs.get("dtype")
    if given is not None and not is_none(given):
        dtype = dtypes.of_value(given)
    flag = _flag(run, call)
    # An integer tensor cannot require grad: that raises, and what follows is unknown.
    refused = flag is True and dtype in ("int", "bool")
    tensor = run.leaf(op, call.node, requires_grad=None if refused else flag, dtype=dtype, shape=shape)
    if refused:
        tensor.node.fields[REFUSED] = True
    if dtype == "float":
        default = None if "like" in op or op.startswith("new") else run.outside["dtype"]
        tensor.fields["exact"] = default if given is None else dtypes.exactly(given)
    elif dtype == "int":
        tensor.fields["integers"] = dtypes.integers(given, "like" in op or op.startswith("new"))
    if explicit and "requires_grad" in call.kwargs:
        run.event("created", call.node, tensor, tensor.node, flag=flag, dtype=dtype)
    return tensor


def _with_values(run: Run, made: Tensor, call: Call, name: str) -> Tensor:
    """A new tensor that is filled with what it is given: numbers that were read out of tensors, and the ends of a
    `linspace`, have a history, and it has none."""
    first = 1 if name in ("full", "full_like", "new_full") else 0
    values = [*call.args[first:], *(call.kwargs[key] for key in _VALUES if key in call.kwargs)]
    edges = [edge for value in values for edge in history_edges(value)]
    if not edges:
        return made
    node = cut_node(run, "copy", name, edges, run.at(call.node))
    node.scalar, node.label = made.node.scalar, name
    if made.requires_grad is False:
        made.fields["node"] = node
    else:
        leaf = Node(run.state, name, run.at(call.node), (Edge(node, False),), kind="leaf", path=run.path)
        leaf.leaf, leaf.scalar = made, node.scalar
        made.fields["node"] = leaf
    return made


_VALUES = ("fill_value", "start", "end", "step", "s")
"""The arguments of factories whose values are in the result."""


def _filled(run: Run, path: str, call: Call) -> Tensor | None:
    """The tensor that a factory fills, which is then its result, if it is given one as `out`."""
    from gradls.flow.writes import bump

    given = call.kwargs.get("out")
    if not isinstance(given, Tensor):
        return None
    bump(run, given, path.removeprefix("torch."), call.node)
    return given


@function(*(f"torch.{name}" for name in _SIZED))
def sized(run: Run, path: str, call: Call) -> Value:
    filled = _filled(run, path, call)
    if filled is not None:
        return filled
    values = call.args or ([call.kwargs["size"]] if "size" in call.kwargs else [])
    name = path.removeprefix("torch.")
    made = fresh(run, call, name, "float", shapes.of_sizes(values))
    ranges.remember(made, _FILLS.get(name))
    return made


_FILLS = {
    "zeros": ranges.exactly([0]),
    "ones": ranges.exactly([1]),
    "rand": ranges.between(0.0, 1.0),
    # Any number: negative ones, and some above one.
    "randn": ranges.between(-ranges.INF, ranges.INF, -1.25, 1.75, source="randn"),
}


@function(*(f"torch.{name}" for name in _LIKE))
def like(run: Run, path: str, call: Call) -> Value:
    model = call.get(0, "input")
    dtype, shape = (model.dtype, model.shape) if isinstance(model, Tensor) else (None, None)
    name = path.removeprefix("torch.")
    made = fresh(run, call, name, dtype, shape)
    ranges.remember(made, _FILLS.get(name.removesuffix("_like")))
    return _as(_with_values(run, made, call, name) if name == "full_like" else made, model, call)


def _as(made: Tensor, model: Value | None, call: Call) -> Tensor:
    """A new tensor, of the dtype of `model` unless the call gives another."""
    if made.dtype == "float" and "dtype" not in call.kwargs:
        made.fields["exact"] = dtypes.exact(model) if isinstance(model, Tensor) else None
    return made


@function(*(f"torch.{name}" for name in _OTHERS))
def others(run: Run, path: str, call: Call) -> Value:
    filled = _filled(run, path, call)
    if filled is not None:
        return filled
    name = path.removeprefix("torch.")
    dtype: str | None = "float"
    shape: shapes.Shape | None = None
    if name in ("randint", "randperm", "triu_indices", "tril_indices"):
        dtype = "int"
        if name == "randint":
            sizes = call.kwargs.get("size") or next((a for a in call.args if isinstance(a, Sequence)), None)
            shape = shapes.of_sizes([sizes]) if sizes is not None else None
    elif name in ("arange", "range"):
        dtype = "int" if all(isinstance(value, Host) and value.kind == "int" for value in call.args) else None
        if any(isinstance(value, Host) and value.kind == "float" for value in call.args):
            dtype = "float"
        shape = (None,)
    elif name == "full":
        dtype = dtypes.of_data(call.get(1, "fill_value"))
        sizes = call.get(0, "size")
        shape = shapes.of_sizes([sizes]) if sizes is not None else None
    elif name in ("linspace", "logspace"):
        steps = call.known(2, "steps")
        shape = (steps if isinstance(steps, int) else None,)
    elif name == "scalar_tensor":
        shape = ()
    made = fresh(run, call, name, dtype, shape)
    ranges.remember(made, _range_of(name, call))
    return _with_values(run, made, call, name) if name in _OF_VALUES else made


_OF_VALUES = frozenset(("full", "arange", "range", "linspace", "logspace", "scalar_tensor"))


def _whole_between(low: int, high: int) -> ranges.Range:
    """Random whole numbers come to both of their bounds."""
    return ranges.between(low, high, low, high, source="randint")


def _range_of(name: str, call: Call) -> ranges.Range | None:
    """The numbers that a factory fills its tensor with."""
    if name == "full":
        return ranges.of(call.get(1, "fill_value"))
    numbers = [value.value if isinstance(value, Host) and value.known else None for value in call.args]
    if name == "arange" and 1 <= len(numbers) <= 3 and all(isinstance(number, int) for number in numbers):
        found = range(*numbers[:3])  # type: ignore[arg-type]
        few = 0 < len(found) <= ranges.MOST_NUMBERS
        return ranges.exactly(found) if few else ranges.between(found[0], found[-1]) if found else None
    if name == "randint":
        bounds = [number for number in numbers if isinstance(number, int)]
        low, high = call.known(-1, "low", default=0), call.known(-1, "high")
        low, high = (bounds[0], bounds[1]) if len(bounds) > 1 else (low, bounds[0] if bounds else high)
        known = isinstance(low, int) and isinstance(high, int) and not isinstance(high, bool)
        return _whole_between(low, high - 1) if known else None  # type: ignore[operator,arg-type]
    return ranges.between(0.0, 1.0)._replace(has=frozenset((1.0,))) if name == "eye" else None


@method("torch.Tensor", "new_zeros", "new_ones", "new_empty", "new_full")
def new_sized(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "new_zeros")
    named = call.get(-1, "size")
    sizes = call.args[:1] if name == "new_full" and call.args else call.args or ([named] if named is not None else [])
    made = fresh(run, call, name, receiver.dtype, shapes.of_sizes(sizes))
    ranges.remember(made, _FILLS.get(name.removeprefix("new_")))
    return _as(_with_values(run, made, call, name) if name == "new_full" else made, receiver, call)


@method("torch.Tensor", "new_tensor")
def new_tensor(run: Run, receiver: Tensor, call: Call) -> Value:
    data = call.get(0, "data")
    return copy_of(run, data if data is not None else run.unknown(), call, "new_tensor", receiver.dtype)


@method("torch.Tensor", "new")
def new(run: Run, receiver: Tensor, call: Call) -> Value:
    return fresh(run, call, "new", receiver.dtype)


_TYPED = {
    "Tensor": "float", "FloatTensor": "float", "DoubleTensor": "float", "HalfTensor": "float",
    "BFloat16Tensor": "float", "LongTensor": "int", "IntTensor": "int", "ShortTensor": "int", "ByteTensor": "int",
    "CharTensor": "int", "BoolTensor": "bool",
}  # fmt: skip
_EXACT = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16",
}  # fmt: skip


@function(*(f"torch.{name}" for name in _TYPED), *(f"torch.cuda.{name}" for name in _TYPED))
def typed(run: Run, path: str, call: Call) -> Value:
    """`torch.FloatTensor(data)` or `torch.FloatTensor(2, 3)`."""
    name = path.rpartition(".")[2]
    data = call.get(0, "data")
    if data is None or isinstance(data, Host) or len(call.args) > 1:
        # Several arguments are sizes, whatever they come from. Without arguments it is empty.
        made = fresh(run, call, name, _TYPED[name], shapes.of_sizes(call.args) if call.args else (0,))
        made.fields["exact"] = _EXACT.get(name) or made.fields.get("exact")
        return made
    if isinstance(data, Tensor):
        # These give the tensor itself under another name, with its history; it has to be of their dtype.
        same = apply(run, "torch.Tensor.view_as", Call(call.node, [data]), data)
        if isinstance(same, Tensor):
            same.node.op = name
            same.dtype, same.fields["exact"] = data.dtype, dtypes.exact(data)
        return same
    made = copy_of(run, data, call, name, _TYPED[name])
    if type(data) is Unknown and not is_plain(data):
        made.fields["requires_grad"] = made.fields["leaf"] = None  # if that is a tensor, it is as above
    return made


@function("torch.tensor")
def tensor(run: Run, path: str, call: Call) -> Value:
    data = call.get(0, "data")
    return copy_of(run, data if data is not None else run.unknown(), call, "tensor", dtypes.of_data(data))


@function("torch.as_tensor", "torch.asarray")
def as_tensor(run: Run, path: str, call: Call) -> Value:
    """Of a tensor, that tensor; of anything else, a copy or the same memory without history."""
    data = call.get(0, "data", "obj")
    if isinstance(data, Tensor):
        if "dtype" in call.kwargs or "device" in call.kwargs or len(call.args) > 1:
            from gradls.flow.models.tensors import convert

            return convert(
                run, data, Call(call.node, [], {k: v for k, v in call.kwargs.items() if k in ("dtype", "device")})
            )
        return data
    name = path.removeprefix("torch.")
    return copy_of(run, data if data is not None else run.unknown(), call, name, dtypes.of_data(data))


@function("torch.from_numpy", "torch.frombuffer")
def from_numpy(run: Run, path: str, call: Call) -> Value:
    data = call.get(0)
    return copy_of(run, data if data is not None else run.unknown(), call, "from_numpy", None)


def copy_of(run: Run, data: Value, call: Call, op: str, dtype: str | None) -> Tensor:
    """A new leaf with the values of `data` and without its history."""
    given = call.kwargs.get("dtype") or (call.args[1] if len(call.args) > 1 and op != "new_tensor" else None)
    exact = _exact_of_data(run, data, op)
    if given is not None and not is_none(given):
        dtype, exact = dtypes.of_value(given), dtypes.exactly(given)
    flag = _flag(run, call)
    edges = history_edges(data)
    if isinstance(data, Instance):
        dtype = dtype or data.data.get("dtype")
    rewraps = isinstance(data, (Tensor, Host, Instance))
    kind = "rewrap" if rewraps else "copy"
    node = cut_node(run, kind, op, edges, run.at(call.node))
    shape = _shape_of_data(data)
    result = Tensor(run.state, node, requires_grad=False, leaf=True, dtype=dtype, shape=shape)
    node.scalar = None if shape is None else shape == ()
    node.label = op
    ranges.remember(result, ranges.of(data) if isinstance(data, Tensor) else ranges.of_data(data))
    result.fields["exact"] = exact if dtype == "float" else None
    if dtype == "int":
        result.fields["integers"] = dtypes.integers(
            given, not isinstance(data, (Host, Sequence)) or bool(tensors_in(data))
        )
    result.inference = bool(run.mode["inference"])
    run.event("copied", call.node, result, node, data=data, parts=_parts(data), op=op, flag=flag, dtype=dtype)
    if flag is not False:
        leaf = Node(run.state, op, run.at(call.node), (Edge(node, False),), kind="leaf", path=run.path)
        leaf.leaf = result
        leaf.scalar = node.scalar
        result.fields["node"] = leaf
        result.fields["requires_grad"] = flag
        if flag and dtype in ("int", "bool"):
            result.fields["requires_grad"] = None
            leaf.fields[REFUSED] = True
        numbers = not edges and not _is_uncertain(data)
        run.event("created", call.node, result, leaf, flag=flag, dtype=dtype, numbers=numbers)
    elif not edges and not _is_uncertain(data):
        node.kind = "leaf"
        node.leaf = result
        if "requires_grad" in call.kwargs:
            run.event("created", call.node, result, node, flag=flag, dtype=dtype)
    return result


def _exact_of_data(run: Run, data: Value, op: str) -> str | None:
    """The floating dtype of a tensor that is made of `data`."""
    if op in _TYPED:
        return _EXACT.get(op) or run.outside["dtype"]
    if isinstance(data, Instance):
        return data.data.get("exact")
    if isinstance(data, Tensor):
        return dtypes.exact(data)
    return run.outside["dtype"] if op != "new_tensor" and not tensors_in(data) else None


def _parts(data: Value) -> list[Value]:
    """What lists of lists hold in the end."""
    return [part for item in data.elements for part in _parts(item)] if isinstance(data, Sequence) else [data]


def _is_uncertain(data: Value) -> bool:
    return isinstance(data, (Unknown, Choice)) or any(isinstance(part, Unknown) for part in tensors_in(data))


def _shape_of_data(data: Value) -> shapes.Shape | None:
    if isinstance(data, Tensor):
        return data.shape
    if isinstance(data, Instance):
        return data.data.get("shape")
    if isinstance(data, Host) and data.kind in ("int", "float", "bool", "number"):
        return ()
    if isinstance(data, Sequence):
        items = data.elements
        # Of a tensor in a list, which has one element, the number is taken.
        inner = {() if isinstance(item, Tensor) else _shape_of_data(item) for item in items}
        if len(inner) == 1:
            first = inner.pop()
            return None if first is None else (len(items) if data.rest is None else None, *first)
    return None


@function("torch.autograd.Variable")
def variable(run: Run, path: str, call: Call) -> Value:
    """Detaches, silently: a leaf with the memory of its argument."""
    data = call.get(0, "data")
    run.event("variable", call.node, data, data.node if isinstance(data, Tensor) else None, call=call)
    given = call.get(1, "requires_grad")
    flag = False if given is None else truth.truth(run, given)
    if not isinstance(data, Tensor):
        # Anything but a tensor is refused.
        result = run.leaf("Variable", call.node, requires_grad=flag, dtype="float" if flag else None)
        if isinstance(data, Unknown) and not data.plain:
            node = cut_node(run, "rewrap", "Variable", history_edges(data), run.at(call.node))
            result.node.edges = (Edge(node, False),)
    else:
        node = cut_node(run, "rewrap", "Variable", [Edge(data.node, data.requires_grad)], run.at(call.node))
        result = rewrapped(run, data, node, flag)
    if given is not None:
        run.event("created", call.node, result, result.node, flag=flag, dtype=result.dtype)
    return result


def rewrapped(run: Run, data: Tensor, node: Node, flag: bool | None, *, is_parameter: bool = False) -> Tensor:
    """A leaf with the memory of `data`; `node` is the cut that made it."""
    leaf = Node(run.state, node.op, node.at, (Edge(node, False),), kind="leaf", path=run.path)
    result = Tensor(
        run.state, leaf, requires_grad=flag, leaf=True, dtype=data.dtype, shape=data.shape, storage=data.storage,
        is_parameter=is_parameter,
    )  # fmt: skip
    leaf.leaf = result
    leaf.scalar = data.node.scalar
    result.fields["exact"] = dtypes.exact(data)
    return result


@function("torch.nn.Parameter", "torch.nn.UninitializedParameter")
def parameter(run: Run, path: str, call: Call) -> Value:
    """A leaf with the memory of its argument, registered where a module gets it as an attribute."""
    data = call.get(0, "data")
    given = call.get(1, "requires_grad")
    flag = True if given is None else truth.truth(run, given)
    if not isinstance(data, Tensor):
        return run.leaf("Parameter", call.node, requires_grad=flag, is_parameter=True)
    node = cut_node(run, "parameter", "Parameter", [Edge(data.node, data.requires_grad)], run.at(call.node))
    result = rewrapped(run, data, node, flag, is_parameter=True)
    run.event("parameter", call.node, result, node, data=data, flag=flag, dtype=data.dtype)
    if flag and data.dtype in ("int", "bool"):
        node.fields[REFUSED] = True
    return result


@function("torch.nn.Buffer")
def buffer(run: Run, path: str, call: Call) -> Value:
    data = call.get(0, "data")
    return data if data is not None else run.unknown("call")


@function("torch.nn.UninitializedBuffer")
def uninitialized_buffer(run: Run, path: str, call: Call) -> Value:
    """A tensor that gets its memory later."""
    flag = call.get(0, "requires_grad")
    return run.leaf("UninitializedBuffer", call.node, requires_grad=False if flag is None else truth.truth(run, flag))
