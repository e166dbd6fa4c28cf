"""Methods and functions of tensors that do more, or other things, than an operation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gradls.autograd.calls import select
from gradls.autograd.ops import find_op
from gradls.flow import dtypes, ranges, shapes, truth
from gradls.flow.arguments import Call
from gradls.flow.contents import host_history, tensors_in
from gradls.flow.graph import At, Cut, Edge, Node
from gradls.flow.models.attributes import change_flag, related
from gradls.flow.models.registry import function, method
from gradls.flow.operations import apply, cut_node, cut_tensor, result_of
from gradls.flow.values import NONE, Function, Host, Instance, Lib, Sequence, Tensor, Unknown, Value, host

if TYPE_CHECKING:
    from gradls.flow.run import Run

TENSOR = "torch.Tensor"


@method(TENSOR, "detach")
def detach(run: Run, receiver: Tensor, call: Call) -> Value:
    return cut_tensor(run, "detach", "detach", receiver, call.node, shares=True)


@function("torch.detach")
def detach_function(run: Run, path: str, call: Call) -> Value:
    value = call.get(0, "input")
    return detach(run, value, call) if isinstance(value, Tensor) else run.unknown("call", "detach")


@method(TENSOR, "detach_")
def detach_in_place(run: Run, receiver: Tensor, call: Call) -> Value:
    run.event("detach-in-place", call.node, receiver, receiver.node, view=receiver.base is not None)
    if run.isolated:
        return receiver
    node = cut_node(run, "detach", "detach_", [Edge(receiver.node, receiver.requires_grad)], run.at(call.node))
    node.scalar = receiver.node.scalar
    if receiver.leaf is False:
        run.state.set(receiver.fields, "detached", (run.at(call.node), run.state.clock, run.path))
    run.state.set(receiver.fields, "node", node)
    run.state.set(receiver.fields, "requires_grad", False)
    run.state.set(receiver.fields, "leaf", True)
    for other in (*receiver.fields.get("parts", ()), *related(receiver)):
        if other.requires_grad is not False:
            run.state.set(other.fields, "requires_grad", None)
            run.state.set(other.fields, "leaf", None)
    return receiver


@method(TENSOR, "clone", "alias")
def clone(run: Run, receiver: Tensor, call: Call) -> Value:
    result = apply(run, "torch.Tensor.clone", call, receiver)
    if isinstance(result, Tensor):
        result.shape, result.dtype = receiver.shape, receiver.dtype
        result.node.scalar = receiver.node.scalar
    return result


@method(TENSOR, "item", "tolist", "__float__", "__int__")
def number(run: Run, receiver: Tensor, call: Call) -> Value:
    node = cut_node(run, "number", "item", [Edge(receiver.node, receiver.requires_grad)], run.at(call.node))
    name = getattr(getattr(call.node, "func", None), "attr", "item")
    run.event("to-number", call.node, receiver, receiver.node, name=name)
    if name == "tolist":
        return Sequence(run.state, "list", (), Host(receiver.dtype or "number", node=node))
    return Host(receiver.dtype or "number", node=node)


@method(TENSOR, "numpy", "__array__")
def numpy(run: Run, receiver: Tensor, call: Call) -> Value:
    """The memory of the tensor as an array; raises if the tensor requires grad."""
    if not truth.truth(run, call.get(0, "force") or Host("bool", False)):
        run.event("numpy", call.node, receiver, receiver.node, recording=run.recording)
    return array_of(run, receiver, call)


_AS_IT_IS = frozenset(("cpu", "to", "cuda", "type", "float", "double", "half", "clone", "contiguous", "squeeze"))


def _origin(node: Node) -> Node:
    """Where what a tensor is a copy of comes from, in other memory perhaps: `x.detach().cpu()`."""
    while node.cut is None and node.op in _AS_IT_IS and len(node.edges) == 1:
        node = node.edges[0].node
    return node


def array_of(run: Run, tensor: Tensor, call: Call) -> Value:
    array = Instance(run.state, run.lib("numpy.ndarray"), run.at(call.node))
    edges = [Edge(tensor.node, tensor.requires_grad)]
    node = cut_node(run, "numpy", "numpy", edges, run.at(call.node))
    behind = _origin(tensor.node).cut
    if behind is not None and behind.kind in ("detach", "data", "no_grad") and not run.isolated:
        # What was detached only to become an array is lost to NumPy.
        node.cut = Cut("numpy", run.at(call.node), behind.certain)
    array.data["node"] = node
    array.data["storage"] = tensor.storage
    array.data |= {"dtype": tensor.dtype, "exact": dtypes.exact(tensor), "shape": tensor.shape}
    return array


@method(TENSOR, "requires_grad_")
def requires_grad_in_place(run: Run, receiver: Tensor, call: Call) -> Value:
    """`x.requires_grad_(flag=True)`: True does nothing to a tensor with a graph, False raises for one."""
    given = call.get(0, "requires_grad")
    flag = True if given is None else truth.truth(run, given)
    run.event(
        "requires-grad-set",
        call.node,
        receiver,
        receiver.node,
        flag=flag,
        method=True,
        before=receiver.requires_grad,
        inference_mode=run.mode["inference"],
        leaf=receiver.leaf,
    )
    if receiver.leaf is False and receiver.requires_grad is not False:
        return receiver
    change_flag(run, receiver, flag)
    return receiver


@method(TENSOR, "retain_grad")
def retain_grad(run: Run, receiver: Tensor, call: Call) -> Value:
    run.event("retain-grad", call.node, receiver, receiver.node)
    run.state.set(receiver.fields, "retains_grad", True)
    return NONE


@method(TENSOR, "register_hook", "register_post_accumulate_grad_hook")
def register_hook(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    accumulates = name == "register_post_accumulate_grad_hook"
    hook = call.get(0, "hook")
    returned, written = None, None
    if isinstance(hook, Function) and not accumulates:
        returned, written = _returned_by(run, receiver, hook, call)
    run.event(
        "hook", call.node, receiver, receiver.node, hook=hook, accumulates=accumulates, returned=returned,
        written=written, recording=run.recording,
    )  # fmt: skip
    return run.unknown("handle")


def _returned_by(run: Run, tensor: Tensor, hook: Function, call: Call) -> tuple[Value, At | None]:
    """What a hook gives for a gradient of `tensor`, and where it writes into the gradient that it is given; calling it
    now changes nothing that is known."""
    from gradls.flow.calls import call_function

    gradient = run.leaf("gradient", None, dtype=tensor.dtype, shape=tensor.shape)
    mark, events = run.state.mark(), len(run.events)
    try:
        returned = call_function(run, hook, Call(call.node, [gradient]))
        writes = gradient.writes
        return returned, writes[0].at if writes else None
    finally:
        run.state.undo(mark)
        del run.events[events:]


@method(TENSOR, "size")
def size(run: Run, receiver: Tensor, call: Call) -> Value:
    dim = call.known(0, "dim")
    if dim is None:
        parts = None if receiver.shape is None else tuple(Host("int") if n is None else host(n) for n in receiver.shape)
        return Sequence(run.state, "tuple", parts or (), None if parts is not None else Host("int"))
    if receiver.shape is not None and isinstance(dim, int) and -len(receiver.shape) <= dim < len(receiver.shape):
        found = receiver.shape[dim]
        return Host("int") if found is None else host(found)
    return Host("int")


@method(TENSOR, "dim", "ndimension", "numel", "nelement", "__len__", "element_size", "storage_offset")
def integer(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    sizes = receiver.shape
    if sizes is None:
        return Host("int")
    if name in ("dim", "ndimension"):
        return host(len(sizes))
    if name in ("numel", "nelement") and None not in sizes:
        return host(math.prod(size for size in sizes if size is not None))
    return Host("int")


@function("torch.numel")
def number_of_elements(run: Run, path: str, call: Call) -> Value:
    first = call.get(0, "input")
    return integer(run, first, call) if isinstance(first, Tensor) else Host("int")


@function("torch.is_floating_point", "torch.is_complex")
def is_of_sort(run: Run, path: str, call: Call) -> Value:
    first = call.get(0, "input")
    asked = "float" if path.endswith("floating_point") else "complex"
    return host(first.dtype == asked) if isinstance(first, Tensor) and first.dtype else Host("bool")


@method(TENSOR, "is_floating_point", "is_contiguous", "equal", "is_complex", "is_inference")
def boolean(run: Run, receiver: Tensor, call: Call) -> Value:
    asked = {"is_floating_point": "float", "is_complex": "complex"}.get(getattr(call.node.func, "attr", ""))  # type: ignore[attr-defined]
    return host(receiver.dtype == asked) if asked and receiver.dtype else Host("bool")


@method(TENSOR, "to", "type", "type_as", "cuda", "cpu", "xpu", "float", "double", "half", "bfloat16", "contiguous")
def convert(run: Run, receiver: Tensor, call: Call) -> Value:
    """The same tensor where nothing changes, else a recorded copy."""
    name = getattr(getattr(call.node, "func", None), "attr", "to")
    if name == "type" and not call.values and not call.unsure:
        return Host("str")
    dtype = _dtype_of_conversion(name, receiver, call)
    if dtype in ("int", "bool"):
        return _integer_cast(run, receiver, dtype, call, name)
    before = dtypes.exact(receiver)
    after = exact_conversion(name, call, before)
    if before is not None and before == after and len(call.values) <= 1 and not _may_move(name, call):
        return receiver
    result = apply(run, "torch.Tensor.float", Call(call.node, []), receiver)
    if not isinstance(result, Tensor):
        return result
    result.fields["exact"] = after
    if before is not None and after is not None and before != after and receiver.requires_grad:
        run.state.set(result.fields, "leaf", False)
    result.shape, result.dtype = receiver.shape, dtype
    result.node.op = name
    result.node.scalar = receiver.node.scalar
    result.is_parameter = False
    if name in ("cuda", "xpu", "half", "double", "bfloat16") and receiver.requires_grad:
        run.state.set(result.fields, "leaf", False)
    result.data = receiver
    return result


def _may_move(name: str, call: Call) -> bool:
    """May a conversion put the tensor onto another device, or otherwise into memory?"""
    if name == "to":
        return not call.values or dtypes.exactly(call.values[0]) is None
    return name in ("cuda", "cpu", "xpu", "contiguous")


def exact_conversion(name: str, call: Call, before: str | None) -> str | None:
    """The floating dtype that a conversion of something of the dtype `before` gives."""
    fixed = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16"}.get(name)
    if fixed is not None:
        return fixed
    if name in ("cuda", "cpu", "xpu", "contiguous"):
        return before
    for value in call.values:
        if isinstance(value, Tensor):
            return dtypes.exact(value)
        if isinstance(value, Lib):
            return dtypes.exactly(value)
    return before if name == "to" and all(map(dtypes.is_no_dtype, call.values)) else None


def _dtype_of_conversion(name: str, receiver: Tensor, call: Call) -> str | None:
    fixed = {"float": "float", "double": "float", "half": "float", "bfloat16": "float"}.get(name)
    if fixed is not None:
        return fixed
    for value in call.values:
        if isinstance(value, Lib) and value.path.startswith("torch."):
            found = dtypes.of_value(value)
            if found is not None:
                return found
        if name == "type" and isinstance(value, Host):
            return dtypes.of_value(value)
        if isinstance(value, Tensor):
            return value.dtype
    if name in ("cuda", "cpu", "xpu", "contiguous"):
        return receiver.dtype
    if name in ("type", "type_as"):
        return None
    return receiver.dtype if all(map(dtypes.is_no_dtype, call.values)) else None


def _integer_cast(run: Run, receiver: Tensor, dtype: str, call: Call, name: str) -> Tensor:
    node = cut_node(run, "integer", name, [Edge(receiver.node, receiver.requires_grad)], run.at(call.node))
    result = Tensor(run.state, node, requires_grad=False, leaf=True, dtype=dtype, shape=receiver.shape)
    if dtype == "int":
        named = next(filter(None, map(dtypes.exactly, call.values)), None)
        result.fields["integers"] = named if name in ("to", "type") else dtypes.exactly(run.lib(f"torch.{name}"))
    known = ranges.of(receiver)
    if known is not None and dtype == "int" and receiver.dtype in ("int", "bool"):
        ranges.remember(result, known)
    elif known is not None and dtype == "bool":
        ranges.remember(result, ranges.as_bool(known))
    return result


@method(TENSOR, "long", "int", "short", "byte", "char", "bool")
def integer_cast(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "long")
    return _integer_cast(run, receiver, "bool" if name == "bool" else "int", call, name)


@method(TENSOR, "backward")
def backward(run: Run, receiver: Tensor, call: Call) -> Value:
    from gradls.flow.backward import run_backward

    run_backward(run, [receiver], call, gradient=call.get(0, "gradient"), method=True)
    return NONE


@method(TENSOR, "view", "reshape")
def reshape(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "view")
    first = call.get(0)
    if name == "view" and (isinstance(first, Lib) or "dtype" in call.kwargs):
        return run.unknown("call", "view")
    op = find_op(f"torch.Tensor.{name}")
    assert op is not None
    op = select(op, ["tensor", "ints"], {})
    result = result_of(run, op, {"input": receiver, "size": Sequence(run.state, "tuple", tuple(call.args))}, call.node)
    if isinstance(result, Tensor):
        result.dtype = receiver.dtype
        sizes = shapes.of_sizes(call.args)
        result.shape = None if sizes is None else tuple(None if size == -1 else size for size in sizes)
        result.node.scalar = None if result.shape is None else result.shape == ()
    return result


@method(TENSOR, "squeeze", "unsqueeze", "flatten", "t")
def reshape_by_rule(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "squeeze")
    result = apply(run, f"torch.Tensor.{name}", call, receiver)
    if isinstance(result, Tensor):
        if name != "flatten":
            result.shape = _reshaped(name, receiver.shape, call)
        result.node.scalar = None if result.shape is None else result.shape == ()
    return result


def _reshaped(name: str, shape: shapes.Shape | None, call: Call) -> shapes.Shape | None:
    if shape is None:
        return None
    dim = call.known(0, "dim")
    if name == "t":
        return shape[::-1]
    if name == "unsqueeze" and isinstance(dim, int):
        place = dim if dim >= 0 else len(shape) + 1 + dim
        return (*shape[:place], 1, *shape[place:])
    if name == "squeeze":
        if dim is None:
            return None if None in shape else tuple(size for size in shape if size != 1)
        if isinstance(dim, int) and -len(shape) <= dim < len(shape):
            place = dim % len(shape)
            return shape[:place] + shape[place + 1 :] if shape[place] == 1 else (shape if shape[place] else None)
    return None


@method(TENSOR, "expand", "expand_as", "broadcast_to")
def expand(run: Run, receiver: Tensor, call: Call) -> Value:
    """A view in which several elements share one place in memory, where a size of 1 becomes larger."""
    name = getattr(getattr(call.node, "func", None), "attr", "expand")
    other = call.get(0, "other")
    if name == "expand_as":
        sizes = other.shape if isinstance(other, Tensor) else None
        result = apply(run, "torch.Tensor.expand_as", call, receiver)
    else:
        sizes = shapes.of_sizes(call.args)
        size = Sequence(run.state, "tuple", tuple(call.args)) if isinstance(other, (Host, Unknown)) else other
        result = apply(run, f"torch.Tensor.{name}", Call(call.node, [size] if size is not None else []), receiver)
    if isinstance(result, Tensor):
        result.shape, overlaps = shapes.expanded(receiver.shape, sizes)
        result.node.scalar = None if result.shape is None else result.shape == ()
        result.multi = "expand" if overlaps else ""
    return result


@method(TENSOR, "apply_", "map_")
def apply_in_place(run: Run, receiver: Tensor, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "apply_")
    run.event("host-apply", call.node, receiver, receiver.node, name=name)
    return receiver


@method(TENSOR, "__dlpack__")
def dlpack(run: Run, receiver: Tensor, call: Call) -> Value:
    run.event("dlpack", call.node, receiver, receiver.node)
    return run.unknown("capsule")


@function("torch.from_dlpack", "numpy.from_dlpack")
def from_dlpack(run: Run, path: str, call: Call) -> Value:
    value = call.get(0, "ext_tensor")
    if isinstance(value, Tensor):
        run.event("dlpack", call.node, value, value.node)
    return run.unknown("call", "from_dlpack")


@method(TENSOR, "resize_", "resize_as_")
def resize(run: Run, receiver: Tensor, call: Call) -> Value:
    run.event("resize", call.node, receiver, receiver.node)
    return receiver


@method(TENSOR, "unbind")
def unbind(run: Run, receiver: Tensor, call: Call) -> Value:
    from gradls.flow.subscripts import row

    element = row(run, receiver)
    return Sequence(run.state, "tuple", (), element)


def history_edges(value: Value) -> list[Edge]:
    """What a value that is copied into a new tensor was computed from."""
    if isinstance(value, Sequence):
        return [edge for item in value.elements for edge in history_edges(item)]
    if isinstance(value, Instance):
        return [Edge(value.data["node"], False)] if "node" in value.data else []
    edges = [Edge(part.node, part.requires_grad) for part in tensors_in(value) if isinstance(part, Tensor)]
    return edges + [Edge(node, False) for node in host_history(value)]
