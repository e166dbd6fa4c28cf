"""einops: reshaping, reducing and joining by pattern. All of it is recorded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.models.registry import function, method
from gradls.flow.operations import derived_tensor, unknown_operation
from gradls.flow.values import Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_LAYERS = ("Rearrange", "Reduce", "EinMix")


_AXES = re.compile(r"\([^)]*\)|\.\.\.|\S+")


def _shape(pattern: object, given: Value | None) -> tuple[int | None, ...] | None:
    """The shape that a pattern such as "b c ... -> b" gives, as far as it is known; None if not even the rank is."""
    if not isinstance(pattern, str) or pattern.count("->") != 1:
        return None
    before, after = (_AXES.findall(side) for side in pattern.split("->"))
    if "..." in after:
        return None
    sizes: dict[str, int | None] = {"1": 1, "()": 1}
    shape = given.shape if isinstance(given, Tensor) else None
    if shape is not None:
        head = before.index("...") if "..." in before else len(before)
        tail = before[head + 1 :]
        sizes |= dict(zip(before[:head], shape, strict=False))
        sizes |= dict(zip(tail, shape[len(shape) - len(tail) :], strict=False))
    return tuple(sizes.get(axis) for axis in after)


def _computed(
    run: Run, name: str, sources: list[Value], call: Call, shape: tuple[int | None, ...] | None = None
) -> Value:
    """What is computed from `sources`: a tensor if one of them is known to be one."""
    parts = [part for source in sources for part in tensors_in(source)]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors:
        return unknown_operation(run, name, sources, call.node, pure=True)
    dtypes = {part.dtype for part in tensors}
    dtype = dtypes.pop() if len(dtypes) == 1 and len(parts) == len(tensors) else None
    return derived_tensor(run, name, sources, call.node, dtype=dtype, shape=shape)


@function("einops.rearrange", "einops.repeat", "einops.reduce")
def reshape(run: Run, path: str, call: Call) -> Value:
    """`rearrange(x, pattern)`, of one tensor or of a list of them."""
    given = call.args[:1] or list(call.kwargs.values())[:1]
    shape = _shape(call.known(1, "pattern"), given[0] if given else None)
    return _computed(run, path.rpartition(".")[2], given, call, shape)


@function("einops.einsum")
def einsum(run: Run, path: str, call: Call) -> Value:
    return _computed(run, "einsum", call.args, call)


@function("einops.pack")
def pack(run: Run, path: str, call: Call) -> Value:
    """One tensor, and the shapes that `unpack` needs."""
    return Sequence(
        run.state, "tuple", (_computed(run, "pack", call.args[:1], call), run.unknown("metadata", "shapes"))
    )


@function("einops.unpack")
def unpack(run: Run, path: str, call: Call) -> Value:
    return Sequence(run.state, "list", (), _computed(run, "unpack", call.args[:1], call))


@function("einops.parse_shape")
def parse_shape(run: Run, path: str, call: Call) -> Value:
    return run.unknown("metadata", "shape")


@function(*(f"einops.layers.torch.{name}" for name in _LAYERS))
def layer(run: Run, path: str, call: Call) -> Value:
    """A layer that reshapes; `EinMix` has parameters too."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if path.endswith("EinMix"):
        weight = run.leaf("Parameter", call.node, requires_grad=True, is_parameter=True)
        weight.name, weight.owner = "weight", instance
        instance.fields["weight"] = weight
    return instance


@method("einops.layers.torch.Rearrange", "__call__", "forward")
@method("einops.layers.torch.Reduce", "__call__", "forward")
@method("einops.layers.torch.EinMix", "__call__", "forward")
def call_layer(run: Run, receiver: Instance, call: Call) -> Value:
    weight = receiver.fields.get("weight")
    sources = [*call.args[:1], *([weight] if weight is not None else [])]
    return _computed(run, receiver.path.rpartition(".")[2], sources, call)
