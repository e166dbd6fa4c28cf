"""The table of torch.nn modules: what they hold, by looking; what they save, by experiment."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import rnn
from torch.nn.parameter import is_lazy

from gradls.autograd.generate.measure import literal_defaults, parameter_names, saves, tensors_in, version
from gradls.autograd.generate.module_recipes import Recipe, recipes

KINDS = {
    "activation": "activation", "adaptive": "layer", "batchnorm": "norm", "channelshuffle": "shape",
    "container": "container", "conv": "layer", "distance": "distance", "dropout": "dropout", "flatten": "shape",
    "fold": "shape", "instancenorm": "norm", "linear": "layer", "loss": "loss", "module": "container",
    "normalization": "norm", "padding": "padding", "pixelshuffle": "shape", "pooling": "pooling", "rnn": "recurrent",
    "sparse": "layer", "transformer": "transformer", "upsampling": "shape", "data_parallel": "container",
}  # fmt: skip
"""From the module file where a class stands to its kind."""

FUNCTIONS = {
    "Sigmoid": "torch.sigmoid", "Tanh": "torch.tanh", "Flatten": "torch.Tensor.flatten",
    "Unflatten": "torch.Tensor.unflatten", "GELU": "torch.nn.functional.gelu",
}  # fmt: skip
"""Where the text of forward does not name one function of torch.nn.functional."""

OUTPUTS = {
    "RNN": "rnn", "GRU": "rnn", "RNNBase": "rnn", "LSTM": "lstm", "LSTMCell": "lstm_cell",
    "MultiheadAttention": "attention", "AdaptiveLogSoftmaxWithLoss": "adaptive", "Module": "none",
    "ModuleList": "none", "ModuleDict": "none", "ParameterList": "none", "ParameterDict": "none", "Container": "none",
}  # fmt: skip


def classes() -> dict[str, type[nn.Module]]:
    """The public module classes of torch.nn."""
    every = {name: getattr(nn, name) for name in dir(nn)}
    return {name: cls for name, cls in every.items() if isinstance(cls, type) and issubclass(cls, nn.Module)}


def kind(cls: type[nn.Module]) -> str:
    if cls is nn.Identity:
        return "identity"
    if cls is nn.MultiheadAttention:
        return "transformer"
    return KINDS.get(cls.__module__.rpartition(".")[2], "other")


def signature(cls: type[nn.Module]) -> tuple[list[str], dict[str, Any]]:
    """Constructor parameters and defaults. RNN, LSTM and GRU hide theirs behind *args."""
    function: Callable[..., Any] = cls.__init__
    if issubclass(cls, rnn.RNNBase) and cls is not rnn.RNNBase:
        names = [name for name in parameter_names(rnn.RNNBase.__init__) if name != "mode"]
        defaults = literal_defaults(rnn.RNNBase.__init__)
        if cls is nn.RNN:
            names.insert(3, "nonlinearity")
            defaults["nonlinearity"] = "tanh"
        if cls is not nn.LSTM:
            names.remove("proj_size")
            defaults.pop("proj_size")
        return names, defaults
    return parameter_names(function), literal_defaults(function)


def called_function(cls: type[nn.Module]) -> str:
    """The one function of torch.nn.functional that forward calls, or nothing."""
    if cls.__name__ in FUNCTIONS:
        return FUNCTIONS[cls.__name__]
    if cls.__module__.rpartition(".")[2] in ("rnn", "transformer", "adaptive", "container"):
        return ""
    text = inspect.getsource(cls.forward)
    if hasattr(cls, "_conv_forward"):
        text = text.replace("_conv_forward", "") + inspect.getsource(cls._conv_forward)
    if cls is nn.MultiheadAttention:
        return "torch.nn.functional.multi_head_attention_forward"
    if hasattr(cls, "_apply_instance_norm"):
        text += inspect.getsource(cls._apply_instance_norm)
    names = set(re.findall(r"\bF\.(\w+)\(", text)) - {"pad"}
    names = names or set(re.findall(r"\bF\.(\w+)\(", text))
    return f"torch.nn.functional.{names.pop()}" if len(names) == 1 else ""


def conditions(recipe: Recipe, cls: type[nn.Module]) -> str:
    """The parameters and, of each, the boolean constructor arguments that it needs."""
    names = [name for name, _ in initialised(recipe).named_parameters()]
    needs: dict[str, list[str]] = {name: [] for name in names}
    switches = [name for name, value in signature(cls)[1].items() if isinstance(value, bool)]
    for switch in ("affine", "elementwise_affine", "bias", "head_bias"):
        if switch in switches:
            present = {name for name, _ in without(recipe, cls, switch).named_parameters()}
            for name in names:
                if name not in present:
                    needs[name].append(switch)
    if cls is nn.MultiheadAttention:
        needs |= {"bias_k": ["add_bias_kv"], "bias_v": ["add_bias_kv"]}
    return " ".join(f"{name}:{','.join(words)}" if words else name for name, words in needs.items())


def without(recipe: Recipe, cls: type[nn.Module], switch: str) -> nn.Module:
    """The recipe's module made with that constructor argument false."""
    original = cls.__init__

    def changed(self: nn.Module, *arguments: Any, **keywords: Any) -> None:
        keywords[switch] = False
        original(self, *arguments, **keywords)

    cls.__init__ = changed  # type: ignore[method-assign]
    try:
        return initialised(recipe)
    finally:
        cls.__init__ = original  # type: ignore[method-assign]


def initialised(recipe: Recipe) -> nn.Module:
    torch.default_generator.manual_seed(0)
    module = recipe[0]()
    if any(is_lazy(parameter) for parameter in module.parameters()):
        module(*recipe[1]())
    return module


def experiment(make: Callable[[], nn.Module], recipe: Recipe, grad: bool, pick: str) -> bool | None:
    """Whether a module saves its "output", its "input" or the parameter that `pick` names."""

    def run() -> tuple[Any, Tensor]:
        module = make()
        parameters = dict(module.named_parameters())
        given = list(recipe[1]())
        # Of a criterion's arguments only the prediction comes from a model.
        for index, value in enumerate(given[:1] if kind(type(module)) == "loss" else given):
            if grad and isinstance(value, Tensor) and value.is_floating_point():
                given[index] = value.requires_grad_().clone()
        if isinstance(module, nn.MultiheadAttention):
            given = given[:1] * 3  # self-attention
        result = module(*given)
        if pick == "output":
            return result, tensors_in(result)[0]
        if pick == "input":
            return result, given[0]
        return result, module.get_parameter(pick) if pick in parameters else module.get_buffer(pick)

    return saves(run)


def measured(name: str, cls: type[nn.Module], recipe: Recipe) -> dict[str, Any]:
    record: dict[str, Any] = {}

    def make() -> nn.Module:
        return initialised(recipe)

    for key, pick in (("saves_output", "output"), ("saves_input", "input")):
        answers = {experiment(make, recipe, grad, pick) for grad in (False, True)} - {None}
        if True in answers:
            record[key] = True
    for key, grad in (("saves_parameters", False), ("saves_parameters_with_input_grad", True)):
        names = [parameter for parameter, _ in make().named_parameters()]
        record[key] = " ".join(parameter for parameter in names if experiment(make, recipe, grad, parameter))
    buffers = [buffer for buffer, _ in make().named_buffers()]
    record["saves_buffers"] = " ".join(buffer for buffer in buffers if experiment(make, recipe, True, buffer))
    if "inplace" in signature(cls)[0]:

        def make_inplace() -> nn.Module:
            module = make()
            module.inplace = True  # type: ignore[assignment]
            return module

        record["inplace_saves_output"] = bool(experiment(make_inplace, recipe, True, "output"))
    given = recipe[1]()
    torch.default_generator.manual_seed(0)
    if recipe[0]().eval()(*given) is given[0]:
        record["eval_returns_input"] = True
    return record


def build() -> dict[str, Any]:
    warnings.simplefilter("ignore")
    known = recipes()
    found: dict[str, Any] = {}
    for name, cls in sorted(classes().items()):
        init, defaults = signature(cls)
        record: dict[str, Any] = {"init": " ".join(init), "kind": kind(cls), "defaults": defaults}
        record["function"] = called_function(cls)
        record["forward"] = " ".join(parameter_names(cls.forward)) if kind(cls) != "container" else ""
        record["outputs"] = OUTPUTS.get(name, "tensor")
        if name in known:
            module = initialised(known[name])
            record["parameters"] = conditions(known[name], cls)
            record["buffers"] = " ".join(buffer for buffer, _ in module.named_buffers())
            record["children"] = " ".join(child for child, _ in module.named_children())
            record |= measured(name, cls, known[name])
        keep = ("kind", "inplace_saves_output")
        found[f"torch.nn.{name}"] = {key: value for key, value in record.items() if value or key in keep}
        if found[f"torch.nn.{name}"].get("outputs") == "tensor":
            del found[f"torch.nn.{name}"]["outputs"]
    return {"torch": version(), "modules": found}
