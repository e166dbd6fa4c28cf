"""Attributes of tensors, also of values that are not known to be tensors."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow import dtypes, truth
from gradls.flow.arguments import Call
from gradls.flow.backward import gradient_of
from gradls.flow.contents import is_plain, opaque
from gradls.flow.graph import Cut, Edge, Node, edge
from gradls.flow.models.registry import attribute, setter
from gradls.flow.operations import apply, cut_node, cut_tensor
from gradls.flow.reach import leaves_of
from gradls.flow.values import (
    FALSE,
    NONE,
    REFUSED,
    TRUE,
    Host,
    Instance,
    Lib,
    MissingGrad,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_none,
)
from gradls.flow.wholes import DATA_OF

if TYPE_CHECKING:
    from gradls.flow.run import Run

TENSOR = "torch.Tensor"


@attribute(TENSOR, "data")
def data(run: Run, value: Tensor, node: ast.expr) -> Value:
    """The same memory without history; writes through it are not counted. Of a packed sequence it is the tensor."""
    if "packed" in value.fields:
        return value
    result = cut_tensor(run, "data", "data", value, node, shares=False)
    result.storage.behind = value.storage
    return result


@attribute("unknown", "data")
def data_of_unknown(run: Run, value: Unknown, node: ast.expr) -> Value:
    """`.data` may be anything's attribute: an unknown value that remembers what it is of."""
    found = value.fields.get("data")
    if found is None:
        found = run.unknown("attribute", "data")
        found.plain, found.unrecorded = value.plain, True
        if not is_plain(value):
            # If that is a tensor, this has no history.
            at = run.at(node)
            edges = (edge(opaque(run, value), None),)
            cut = Node(run.state, "attribute", at, edges, kind="opaque", cut=Cut("data", at, False))
            cut.label = "data"
            cut.fields["value"] = found
            found.fields["node",] = cut
        found.fields[DATA_OF] = value
        value.fields["data"] = found
    return found


@attribute(TENSOR, "requires_grad")
def requires_grad(run: Run, value: Tensor, node: ast.expr) -> Value:
    return {True: TRUE, False: FALSE}.get(value.requires_grad, Host("bool"))  # type: ignore[arg-type]


@attribute(TENSOR, "is_leaf")
def is_leaf(run: Run, value: Tensor, node: ast.expr) -> Value:
    return {True: TRUE, False: FALSE}.get(value.leaf, Host("bool"))  # type: ignore[arg-type]


@attribute(TENSOR, "grad", "_grad")
def grad(run: Run, value: Tensor, node: ast.expr) -> Value:
    """The gradient: None before a backward reached the tensor."""
    known = value.fields.get("grad")
    missing = lacks_grad(run, value, known)
    passed = value.fields.get("passed_over")
    shared = not missing and known is None and not run.isolated and _is_result(value) and value.fields.get("*escaped")
    run.event("grad-read", node, value, value.node, missing=missing, shared=bool(shared), passed=passed)
    if missing:
        return MissingGrad(value, run.at(node), value.fields.get("cleared"))
    if known is not None:
        return known
    tensor = gradient_of(run, value, node, run.outside["graphs"])
    # Which passes of backward came before is for the rules to say.
    tensor.fields["presumed"] = True
    value.fields["grad"] = tensor
    return tensor


def _is_result(tensor: Tensor) -> bool:
    """Is it certainly computed from something that requires grad, and not asked to keep its gradient here?"""
    return tensor.leaf is False and tensor.requires_grad is True and not tensor.fields.get("retains_grad")


def lacks_grad(run: Run, tensor: Tensor, known: Value | None) -> bool:
    """Is it certain that `tensor.grad` is None? `known` is what the program is seen to have put there."""
    if (known is not None and not is_none(known)) or tensor.fields.get("*escaped") or run.isolated:
        return False
    if tensor.leaf is False:
        return known is None and _is_result(tensor)
    outside = run.outside["backward"]
    if outside is None or tensor.fields.born <= max(outside, run.since):
        return False
    if tensor.leaf is not True:
        return bool(tensor.fields.get("fresh"))
    return tensor.node.kind == "leaf" and tensor.node.op not in ("argument", "grad", "data")


@attribute(TENSOR, "grad_fn")
def grad_fn(run: Run, value: Tensor, node: ast.expr) -> Value:
    return NONE if value.requires_grad is False or value.leaf is True else run.unknown("grad_fn")


@attribute(TENSOR, "shape")
def shape(run: Run, value: Tensor, node: ast.expr) -> Value:
    if value.shape is None:
        return Sequence(run.state, "tuple", (), Host("int"))
    return Sequence(run.state, "tuple", tuple(_size(size) for size in value.shape))


def _size(size: int | None) -> Host:
    return Host("int") if size is None else Host("int", size)


@attribute(TENSOR, "ndim")
def ndim(run: Run, value: Tensor, node: ast.expr) -> Value:
    return Host("int") if value.shape is None else Host("int", len(value.shape))


@attribute(TENSOR, "dtype")
def dtype(run: Run, value: Tensor, node: ast.expr) -> Value:
    name = {"float": "float32", "int": "int64", "bool": "bool", "complex": "complex64"}.get(value.dtype or "")
    if name is None:
        return run.unknown("metadata", "dtype")
    exact = dtypes.exact(value) if value.dtype == "float" else value.fields.get("integers")
    if exact is not None:
        return run.lib(f"torch.{exact}")
    # One of several dtypes of that kind.
    lib = Lib(run.state, f"torch.{name}")
    lib.fields["some"] = True
    return lib


@attribute(TENSOR, "device", "layout", "is_cuda", "itemsize", "names")
def metadata(run: Run, value: Tensor, node: ast.expr) -> Value:
    return run.unknown("metadata")


@attribute(TENSOR, "T", "mT", "H", "mH", "real", "imag")
def view(run: Run, value: Tensor, node: ast.expr) -> Value:
    name = node.attr if isinstance(node, ast.Attribute) else "T"
    spelling = f"torch.Tensor.{name}"
    if find_op(spelling) is None:
        spelling = "torch.Tensor.t"
    result = apply(run, spelling, Call(node, []), value)
    if isinstance(result, Tensor) and value.shape is not None and name in ("T", "H"):
        result.shape = value.shape[::-1]
    return result


@setter(TENSOR, "requires_grad")
def set_requires_grad(run: Run, receiver: Tensor, value: Value, target: ast.expr) -> None:
    """`x.requires_grad = flag`: only leaves may be changed."""
    flag = truth.truth(run, value)
    run.event(
        "requires-grad-set",
        target,
        receiver,
        receiver.node,
        flag=flag,
        method=False,
        before=receiver.requires_grad,
        inference_mode=run.mode["inference"],
        leaf=receiver.leaf,
    )
    if receiver.leaf is False:
        return
    change_flag(run, receiver, flag)


def change_flag(run: Run, tensor: Tensor, flag: bool | None) -> None:
    """Make a leaf require grad or not. For integers that raises, and what follows is unknown."""
    if flag and tensor.dtype in ("int", "bool"):
        flag = None
        run.state.set(tensor.node.fields, REFUSED, True)
    if tensor.node.kind == "phi":
        for leaf in leaves_of(tensor.node):
            if leaf.requires_grad is not flag:
                run.state.set(leaf.fields, "requires_grad", None)
    if flag is True and tensor.requires_grad is False and tensor.node.leaf is None:
        # A result that had no graph becomes a leaf of its own; what it was made of stays its history.
        node = Node(run.state, "leaf", tensor.node.at, (Edge(tensor.node, False),), kind="leaf", path=run.path)
        node.leaf = tensor
        node.scalar = tensor.node.scalar
        run.state.set(tensor.fields, "node", node)
        run.state.set(tensor.fields, "leaf", True)
    run.state.set(tensor.fields, "requires_grad", flag)
    doubt_wholes(run, tensor, flag)
    for copy in tensor.fields.get("copies", ()):
        # What `to()` gives is the tensor itself, if it is what was asked for.
        if copy.requires_grad is not flag:
            run.state.set(copy.fields, "requires_grad", None)
    if tensor.base is None:
        for view in tensor.family["views"]:
            # Without a graph of its own a view says what its base does, and no gradient goes on from there.
            if view.base is tensor and view.leaf is True and view.requires_grad is not flag:
                run.state.set(view.fields, "requires_grad", True if flag else None)


def doubt_wholes(run: Run, tensor: Tensor, flag: bool | None) -> None:
    """The flag of a tensor has changed: that of what is this one or another, by branch, may have."""
    for whole in related(tensor):
        if whole.requires_grad is not flag:
            run.state.set(whole.fields, "requires_grad", None)


def related(tensor: Tensor) -> list[Tensor]:
    """What may be the same tensor, by branch: those of which it is one, and those that may be the same part."""
    parts = tensor.fields.get("parts", ())
    wholes = [whole for part in (tensor, *parts) for whole in part.fields.get("wholes", ())]
    return [whole for whole in dict.fromkeys(wholes) if whole is not tensor]


@setter(TENSOR, "data")
def set_data(run: Run, receiver: Tensor, value: Value, target: ast.expr) -> None:
    """`x.data = y`: new values, the same leaf; nothing is recorded or counted."""
    edges = [Edge(value.node, value.requires_grad)] if isinstance(value, Tensor) else []
    node = cut_node(run, "data", "data", edges, run.at(target)) if edges else None
    run.event("data-set", target, receiver, node, assigned=value, flag=receiver.requires_grad)
    run.state.set(receiver.fields, "*range", None)
    run.state.set(receiver.fields, "exact", dtypes.exact(value) if isinstance(value, Tensor) else None)
    if "integers" in receiver.fields:
        run.state.set(receiver.fields, "integers", None)
    if not isinstance(value, Tensor) or value.shape != receiver.shape:
        receiver.shape = None
    if isinstance(value, Tensor) and value.dtype != receiver.dtype:
        receiver.dtype = None
    if node is not None and receiver.leaf is not False:
        remember(run, receiver, node)


def remember(run: Run, leaf: Tensor, node: Node) -> None:
    """A leaf got new values behind the back of autograd: it stays a leaf, and `node` is where they come from."""
    made = Node(run.state, "leaf", node.at, (Edge(node, False),), kind="leaf", path=run.path)
    made.leaf = leaf
    made.scalar = leaf.node.scalar
    run.state.set(leaf.fields, "node", made)


@setter(TENSOR, "grad", "_grad")
def set_grad(run: Run, receiver: Tensor, value: Value, target: ast.expr) -> None:
    run.event("grad-set", target, receiver, receiver.node, assigned=value)
    run.state.set(receiver.fields, "grad", value)
    if is_none(value):
        run.state.set(receiver.fields, "cleared", run.at(target))
    _doubt_grads(run, receiver, is_none(value))


def _doubt_grads(run: Run, tensor: Tensor, cleared: bool) -> None:
    """A gradient was put into a tensor, or taken out of it: by branch, that may be true of others."""
    leaves = leaves_of(tensor.node) if tensor.node.kind == "phi" else ()
    for other in dict.fromkeys((*leaves, *tensor.fields.get("parts", ()), *related(tensor))):
        known = other.fields.get("grad")
        if other is tensor:
            continue
        if isinstance(known, Tensor) and cleared:
            run.state.set(known.fields, "presumed", True)
        elif not cleared and (known is None or is_none(known)):
            gradient = gradient_of(run, other, None, None)
            gradient.fields["presumed"] = True
            run.state.set(other.fields, "grad", gradient)


@attribute("torch.nn.Module", "training")
def training(run: Run, value: Instance, node: ast.expr) -> Value:
    mode = value.fields.get("training")
    return mode if mode is not None else run.unknown("training", "training")


@attribute("", "torch.Tensor")
def tensor_class(run: Run, value: Lib, node: ast.expr) -> Value:
    return run.lib("torch.Tensor")
