"""einops: reshaping, reducing and joining by pattern. All of it is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.models.registry import function, method
from gradls.flow.operations import derived_tensor, unknown_operation
from gradls.flow.values import Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_LAYERS = ("Rearrange", "Reduce", "EinMix")


def _computed(run: Run, name: str, sources: list[Value], call: Call) -> Value:
    """What is computed from `sources`: a tensor if one of them is known to be one."""
    parts = [part for source in sources for part in tensors_in(source)]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors:
        return unknown_operation(run, name, sources, call.node, pure=True)
    dtypes = {part.dtype for part in tensors}
    dtype = dtypes.pop() if len(dtypes) == 1 and len(parts) == len(tensors) else None
    return derived_tensor(run, name, sources, call.node, dtype=dtype)


@function("einops.rearrange", "einops.repeat", "einops.reduce")
def reshape(run: Run, path: str, call: Call) -> Value:
    """`rearrange(x, pattern)`, of one tensor or of a list of them."""
    return _computed(run, path.rpartition(".")[2], call.args[:1] or list(call.kwargs.values())[:1], call)


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
