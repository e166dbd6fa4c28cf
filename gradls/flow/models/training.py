"""Helpers of torch.nn.utils and torch.nn.init."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import dtypes
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.iterators import consume, exhausted
from gradls.flow.models.optimizers import held
from gradls.flow.models.registry import FUNCTIONS, function
from gradls.flow.operations import derived_tensor
from gradls.flow.values import Host, Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function("torch.nn.utils.clip_grad_norm_", "torch.nn.utils.clip_grad_value_", "torch.nn.utils.clip_grad_norm")
def clip(run: Run, path: str, call: Call) -> Value:
    """Changes gradients, not parameters; an iterator is used up."""
    given = call.get(0, "parameters")
    parameters, more = held(given) if given is not None else ([], True)
    run.event(
        "clip", call.node, given, path_of=path, exhausted=exhausted(given), parameters=parameters, open=more, call=call
    )
    consume(run, given, call.node)
    return run.leaf("norm", call.node, shape=())


@function("torch.nn.utils.parameters_to_vector")
def parameters_to_vector(run: Run, path: str, call: Call) -> Value:
    return derived_tensor(run, "parameters_to_vector", call.args[:1], call.node, shape=(None,))


@function("torch.nn.utils.vector_to_parameters")
def vector_to_parameters(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.values import NONE

    run.event("vector-to-parameters", call.node, call.get(1, "parameters"))
    return NONE


@function(
    "torch.nn.utils.weight_norm",
    "torch.nn.utils.spectral_norm",
    "torch.nn.utils.parametrizations.weight_norm",
    "torch.nn.utils.parametrizations.spectral_norm",
    "torch.nn.utils.parametrizations.orthogonal",
    "torch.nn.utils.parametrize.register_parametrization",
)
def reparametrize(run: Run, path: str, call: Call) -> Value:
    """The attribute of the parameter is no parameter any more, but computed from others."""
    if call.args and isinstance(call.args[0], Instance):
        call.args[0].data["reparametrized"] = True
        if path.startswith(("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm")):
            # A hook before forward computes the weight.
            call.args[0].data["renormalized"] = True
        if path.endswith(".weight_norm"):
            _split_weight(run, call.args[0], call)
    return call.args[0] if call.args else run.unknown("call", path)


def _split_weight(run: Run, layer: Instance, call: Call) -> None:
    """Weight normalization makes a length and a direction of a parameter, both new parameters; others keep the one that
    there is. One new parameter stands for the two."""
    given = call.get(1, "name")
    name = "weight" if given is None else given.value if isinstance(given, Host) else None
    old = layer.fields.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or not isinstance(old, Tensor) or not old.is_parameter:
        return
    new = run.leaf("Parameter", call.node, requires_grad=old.requires_grad, shape=old.shape, is_parameter=True)
    new.name, new.owner = name, layer
    if "exact" in old.fields:
        new.fields["exact"] = old.fields["exact"]
    run.state.set(layer.fields, name, new)
    layer.data["split"] = True
    run.event("reparametrized", call.node, layer, name=name, assigned=new, old=old)


@function(
    "torch.nn.utils.rnn.pack_padded_sequence",
    "torch.nn.utils.rnn.pad_packed_sequence",
    "torch.nn.utils.rnn.pad_sequence",
    "torch.nn.utils.rnn.pack_sequence",
    "torch.nn.utils.rnn.PackedSequence",
)
def pack(run: Run, path: str, call: Call) -> Value:
    sources = [part for value in call.args[:1] for part in tensors_in(value)]
    classes = {dtypes.of_data(part) for part in sources}
    dtype = classes.pop() if len(classes) == 1 else None
    tensor = derived_tensor(run, path.rpartition(".")[2], sources, call.node, dtype=dtype)
    if path.endswith("pad_packed_sequence"):
        return Sequence(run.state, "tuple", (tensor, run.leaf("lengths", call.node, dtype="int")))
    if not path.endswith("pad_sequence"):
        tensor.fields["packed"] = True
    return tensor


def _init(run: Run, path: str, call: Call) -> Value:
    """Writes under no_grad and returns the tensor."""
    from gradls.flow.writes import bump, outdate

    tensor = call.get(0, "tensor")
    if isinstance(tensor, Tensor):
        bump(run, tensor, path.rpartition(".")[2], call.node)
        outdate(run, tensor, call.node)
        zero = path.endswith(".zeros_") or (".constant" in path and call.known(1, "val") == 0)
        run.event("init", call.node, tensor, tensor.node, path=path, zero=zero)
        return tensor
    return tensor if tensor is not None else run.unknown("call", path)


_INIT = (
    "uniform_", "normal_", "constant_", "ones_", "zeros_", "eye_", "dirac_", "xavier_uniform_", "xavier_normal_",
    "kaiming_uniform_", "kaiming_normal_", "trunc_normal_", "orthogonal_", "sparse_", "xavier_uniform", "xavier_normal",
    "kaiming_uniform", "kaiming_normal", "uniform", "normal", "constant", "orthogonal",
)  # fmt: skip
for _name in _INIT:
    FUNCTIONS[f"torch.nn.init.{_name}"] = _init


@function("torch.nn.init.calculate_gain")
def calculate_gain(run: Run, path: str, call: Call) -> Value:
    return Host("float")
