"""What the modules of torch.nn hold and what they keep for backward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from gradls.autograd.data import table


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """A class of torch.nn.

    - `init`: constructor parameters in order; `defaults` their literal default values.
    - `parameters`: (name, condition) pairs; names are as in `named_parameters()`, those of submodules dotted. The
      condition is empty if the parameter is always there, else the constructor arguments that must all be true, with
      commas between them. Recurrent layers list those of their first layer (see `recurrent_parameters`).
    - `buffers`: the names of buffers which the module may have; `children` those of submodules.
    - `kind`: "layer", "activation", "loss", "container", "identity", "dropout", "norm", "recurrent", "pooling",
      "padding", "distance", "shape" (rearranges or resizes), "transformer" or "other".
    - `function`: the operation that forward applies, if it is one; it takes the module's parameters under their names.
    - `forward`: forward's parameters. `outputs`: what it returns: "tensor"; "rnn", (output, h_n); "lstm",
      (output, (h_n, c_n)); "lstm_cell", (h, c); "attention", (output, weights or None); "adaptive", (output, loss);
      "none", nothing by itself.
    - `saves_output`, `saves_input`: a write in place to it between forward and backward makes backward raise.
      `saves_parameters`: the parameters of which that is true if the input requires no grad, `..._with_input_grad` if
      it does.
    - `saves_buffers`: the buffers of which that is true.
    - `inplace_saves_output`: the same of the output when the module was made with `inplace=True`; None, it cannot be.
    - `eval_returns_input`: in eval mode the result is the very tensor that went in.
    """

    name: str
    init: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameters: tuple[tuple[str, str], ...] = ()
    buffers: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    kind: str = "other"
    function: str = ""
    forward: tuple[str, ...] = ()
    outputs: str = "tensor"
    saves_output: bool = False
    saves_input: bool = False
    saves_parameters: frozenset[str] = frozenset()
    saves_parameters_with_input_grad: frozenset[str] = frozenset()
    saves_buffers: frozenset[str] = frozenset()
    inplace_saves_output: bool | None = None
    eval_returns_input: bool = False


@cache
def find_module(name: str) -> ModuleSpec | None:
    """The module class with this canonical name ("torch.nn.Linear"); None if there is none."""
    record = table("modules")["modules"].get(name)
    if record is None:
        return None
    return ModuleSpec(
        name=name,
        init=tuple(record.get("init", "").split()),
        defaults=MappingProxyType(record.get("defaults", {})),
        parameters=tuple(
            (parameter, condition)
            for parameter, _, condition in (entry.partition(":") for entry in record.get("parameters", "").split())
        ),
        buffers=tuple(record.get("buffers", "").split()),
        children=tuple(record.get("children", "").split()),
        kind=record["kind"],
        function=record.get("function", ""),
        forward=tuple(record.get("forward", "").split()),
        outputs=record.get("outputs", "tensor"),
        saves_output=record.get("saves_output", False),
        saves_input=record.get("saves_input", False),
        saves_parameters=frozenset(record.get("saves_parameters", "").split()),
        saves_parameters_with_input_grad=frozenset(record.get("saves_parameters_with_input_grad", "").split()),
        saves_buffers=frozenset(record.get("saves_buffers", "").split()),
        inplace_saves_output=record.get("inplace_saves_output"),
        eval_returns_input=record.get("eval_returns_input", False),
    )


def recurrent_parameters(
    layers: int = 1, bidirectional: bool = False, bias: bool = True, projection: bool = False
) -> tuple[str, ...]:
    """The parameter names of a torch.nn.RNN, LSTM or GRU made like this, in the order of `named_parameters()`."""
    names = []
    for layer in range(layers):
        for suffix in ("", "_reverse") if bidirectional else ("",):
            names += [f"weight_ih_l{layer}{suffix}", f"weight_hh_l{layer}{suffix}"]
            if bias:
                names += [f"bias_ih_l{layer}{suffix}", f"bias_hh_l{layer}{suffix}"]
            if projection:
                names.append(f"weight_hr_l{layer}{suffix}")
    return tuple(names)


def recurrent_saves(spec: ModuleSpec, names: Iterable[str], with_input_grad: bool) -> frozenset[str]:
    """Which of the parameters `names` of a recurrent layer a write in place to between forward and backward makes
    backward raise. The input of all layers but the first requires grad."""
    names = tuple(names)
    if any(name.startswith("weight_hr") for name in names):
        spec = find_module("torch.nn.GRU") or spec  # with a projection an LSTM is computed step by step, too
    found = set()
    for name in names:
        kind, _, layer = name.partition("_l")
        first = f"{kind}_l0" if layer else kind
        inside = with_input_grad or (bool(layer) and not layer.startswith("0"))
        saved = spec.saves_parameters | (spec.saves_parameters_with_input_grad if inside else frozenset())
        if kind == "weight_hr" or first in saved:
            found.add(name)
    return frozenset(found)
