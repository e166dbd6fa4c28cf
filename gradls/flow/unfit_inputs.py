"""Inputs that a layer or an operation refuses: of another dtype, or too few for statistics."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from gradls.autograd.modules import ModuleSpec
from gradls.flow import dtypes, ranges, shapes
from gradls.flow.hooks import HOOKS
from gradls.flow.reach import walk
from gradls.flow.values import TRUE, Host, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.autograd.ops import Op
    from gradls.flow.graph import Node
    from gradls.flow.run import Run

_OF_ONE_DTYPE = (
    "Linear", "LazyLinear", "Conv", "LazyConv", "Bilinear", "RNN", "LSTM", "GRU", "BatchNorm", "LayerNorm", "GroupNorm",
    "PReLU",
)  # fmt: skip
"""Layers (by how their names begin) that take only the dtype of their parameters."""
PRODUCTS = frozenset((
    "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "vdot", "linear", "addmm", "baddbmm", "addmv",
))  # fmt: skip
"""Operations that take only tensors of one dtype."""


def check_layer(run: Run, instance: Instance, spec: ModuleSpec, first: Value | None, at: ast.AST) -> None:
    """Write down an input of a layer with which the call certainly raises."""
    if not isinstance(first, Tensor) or any(hook.before for hook in instance.fields.get(HOOKS, ())):
        return
    name = spec.name.rpartition(".")[2]
    if name in ("Embedding", "EmbeddingBag"):
        weight, rows = instance.fields.get("weight"), instance.data.get("options", {}).get("num_embeddings")
        own = isinstance(weight, Tensor) and weight.owner is instance
        count = rows.value if own and isinstance(rows, Host) and isinstance(rows.value, int) else None
        check_index(run, first, count, at, instance.at)
    elif name.startswith(_OF_ONE_DTYPE):
        weights = [instance.fields.get(parameter) for parameter, _ in spec.parameters]
        weight = next((value for value in weights if isinstance(value, Tensor) and value.is_parameter), None)
        if weight is not None and not instance.data.get("reparametrized"):
            check_dtypes(run, first, weight, at, instance, mixes=name.endswith("Norm") or "BatchNorm" in name)
    if name.startswith(("BatchNorm", "InstanceNorm")):
        _check_statistics(run, instance, first, at, batch=name.startswith("Batch"))


def check_index(run: Run, index: Value | None, rows: int | None, at: ast.AST, made: object = None) -> None:
    """Write down an index of an embedding that is not of integers, or goes beyond its `rows`."""
    if not isinstance(index, Tensor):
        return
    if index.dtype in ("float", "bool") and not _is_for_others(run, index):
        run.event("unfit-input", at, index, index.node, why="index", dtype=index.dtype, made=made)
    known = ranges.of(index)
    if index.dtype != "int" or known is None or rows is None:
        return
    outside = [number for number in sorted(known.has) if number < 0 or number >= rows]
    if outside:
        run.event("unfit-input", at, index, index.node, why="outside", number=int(outside[-1]), rows=rows, made=made)
    elif any(number >= rows for number in known.comes_to):
        highest = int(max(known.comes_to))
        run.event("unfit-input", at, index, index.node, why="may-be", number=highest, rows=rows, made=made)


def check_dtypes(
    run: Run,
    one: Tensor,
    other: Tensor,
    at: ast.AST,
    layer: Instance | None = None,
    *,
    mixes: bool = False,
    role: str = "input",
) -> bool:
    """Write down that two tensors which must be of one dtype, the second a floating one, are not. `mixes`: half and
    single precision may meet. `role` says what the first is to the operation."""
    if other.dtype != "float" or one.dtype not in ("float", "int", "bool"):
        return False
    names = (dtypes.exact(one), dtypes.exact(other))
    if one.dtype == "float":
        if None in names or names[0] == names[1]:
            return False
        # Autocast leaves double precision alone, and integers too.
        if "float64" not in names and (mixes or run.casting or run.alone):
            return False
    if _is_for_others(run, one):
        return False
    made = layer.at if layer is not None else None
    run.event(
        "unfit-input", at, one, one.node, why="dtype", dtypes=names, dtype=one.dtype, other=other, made=made, role=role
    )
    return True


def _is_for_others(run: Run, tensor: Tensor) -> bool:
    """Does a branch of the function lead here that it may not take for what this caller gives it? It is for those that
    give something else: `if self.takes_tokens: x = self.embedding(x)`."""
    frame = run.frame
    if frame.function is None or frame.forks <= len(frame.loops):
        return False
    since = frame.mark[1]
    return any(node.born <= since and (node.leaf is None or not node.leaf.is_parameter) for node in walk(tensor.node))


def check_product(run: Run, bound: Mapping[str, Value], result: Tensor, at: ast.AST) -> None:
    """The same for the factors of a matrix product. What goes on with the result is told as if they had fitted."""
    factors = {name: value for name, value in bound.items() if isinstance(value, Tensor)}
    weight = bound.get("weight")
    if isinstance(weight, Tensor) and (weight.shape is None or len(weight.shape) < 2):
        # A weight that is one row makes it a product and a sum, and sums take any dtypes.
        factors.pop("bias", None)
    floating = next((factor for factor in factors.values() if factor.dtype == "float"), None)
    if floating is None or "out_dtype" in bound:
        return
    for name, factor in factors.items():
        role = name if name == "bias" else "input"
        if factor is not floating and check_dtypes(run, factor, floating, at, role=role):
            result.dtype = floating.dtype
            return


def _check_statistics(run: Run, instance: Instance, first: Tensor, at: ast.AST, *, batch: bool) -> None:
    """Batch norm needs several values of each channel, instance norm several in each example."""
    options = instance.data.get("options", {})
    tracks = options.get("track_running_stats")
    own = isinstance(tracks, Host) and tracks.value is False
    if not own and not _trains(run, instance):
        return
    shape = first.shape
    if shape is None or len(shape) < 2:
        return
    sizes = (shape[0], *shape[2:]) if batch else shape[2:]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes) and prod(known) == 1 and (batch or len(shape) > 2):
        run.event("unfit-input", at, first, first.node, why="one-value", batch=batch, made=instance.at, shape=shape)


def _trains(run: Run, instance: Instance) -> bool:
    """Is a layer certainly in training mode: made here, and switched by nobody else than what is seen?"""
    if instance.fields.get("*escaped"):
        return False
    if run.alone:
        return instance.fields.born > run.since and instance.fields.get("training", TRUE) is TRUE
    return instance.fields.get("training") is TRUE


def note_scattered(op: Op, bound: dict[str, Value], node: Node) -> None:
    """What is scattered has no derivative unless there is an index for each of its elements."""
    source, index = bound.get("src"), bound.get("index")
    if op.name.rstrip("_") not in ("scatter", "scatter_add") or not isinstance(source, Tensor):
        return
    if source.requires_grad is True and isinstance(index, Tensor) and shapes.differ(source.shape, index.shape):
        node.label, node.fields["stuck"] = "raises", (node, "scattered")
