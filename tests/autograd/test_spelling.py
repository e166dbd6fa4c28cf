"""One name for everything."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

from gradls.autograd.data import table
from gradls.autograd.spelling import canonical

NAMES = {
    "torch.nn.modules.loss.MSELoss": "torch.nn.MSELoss",
    "torch.nn.modules.linear.Linear": "torch.nn.Linear",
    "torch.nn.modules.Linear": "torch.nn.Linear",
    "torch.nn.modules.module.Module.forward": "torch.nn.Module.forward",
    "torch.optim.adam.Adam": "torch.optim.Adam",
    "torch.optim.lr_scheduler.StepLR": "torch.optim.lr_scheduler.StepLR",
    "torch.functional.einsum": "torch.einsum",
    "torch._C._nn.gelu": "torch.nn.functional.gelu",
    "torch._C._linalg.linalg_norm": "torch.linalg.norm",
    "torch._C._special.special_i0": "torch.special.i0",
    "torch._C._fft.fft_fft": "torch.fft.fft",
    "torch._C._VariableFunctions.exp": "torch.exp",
    "torch._C.TensorBase.add_": "torch.Tensor.add_",
    "torch._C._TensorBase.add_": "torch.Tensor.add_",
    "torch.autograd.grad_mode.no_grad": "torch.no_grad",
    "torch.autograd.grad_mode.inference_mode": "torch.inference_mode",
    "torch.autograd.grad_mode.set_grad_enabled": "torch.set_grad_enabled",
    "torch.autograd.set_grad_enabled": "torch.set_grad_enabled",
    "torch.autograd.variable.Variable": "torch.autograd.Variable",
    "torch.autograd.function.Function": "torch.autograd.Function",
    "torch._tensor.Tensor": "torch.Tensor",
    "torch._tensor.Tensor.backward": "torch.Tensor.backward",
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    "torch.cuda.amp.autocast": "torch.cuda.amp.autocast",
    "torch.cuda.amp.grad_scaler.GradScaler": "torch.cuda.amp.GradScaler",
    "torch.amp.autocast_mode.autocast": "torch.amp.autocast",
    "torch.autocast": "torch.amp.autocast",
    "torch.amp.grad_scaler.GradScaler": "torch.amp.GradScaler",
    "torch.distributions.normal.Normal": "torch.distributions.Normal",
    "torch.nn.utils.clip_grad.clip_grad_norm_": "torch.nn.utils.clip_grad_norm_",
    "torch.utils.data.dataloader.DataLoader": "torch.utils.data.DataLoader",
    "torch._functorch.eager_transforms.vjp": "torch.func.vjp",
    "torch.nn.parallel.distributed.DistributedDataParallel": "torch.nn.parallel.DistributedDataParallel",
    "torch.nn.Linear": "torch.nn.Linear",
    "torch.exp": "torch.exp",
    "torch.unheard.of": "torch.unheard.of",
    "numpy.array": "numpy.array",
    "": "",
}


@pytest.mark.parametrize("name", NAMES)
def test_canonical(name: str) -> None:
    assert canonical(name) == NAMES[name]


def resolve(name: str) -> Any:
    """What a dotted name means: attributes, and submodules where there is no attribute."""
    first, *rest = name.split(".")
    value: Any = importlib.import_module(first)
    for part in rest:
        try:
            value = getattr(value, part)
        except AttributeError:
            value = importlib.import_module(f"{value.__name__}.{part}")
    return value


def resolve_in_module(name: str) -> Any:
    """An attribute of the module with the rest of the name, though a function may hide that module."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_every_alias_means_the_same_as_its_public_name() -> None:
    pytest.importorskip("torch")
    # PyTorch's own test helpers, if another test has imported them, replace the first; the others are moved by hand.
    moved = ("torch.random.manual_seed", "torch._C.", "torch.autograd.variable")
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for alias, public in table("spelling")["aliases"].items():
            try:
                other = resolve_in_module(alias)
            except (ImportError, AttributeError):
                continue  # a home that a class only claims
            if other is not resolve(public) and not alias.startswith(moved):
                wrong.append((alias, public))
    assert not wrong


def test_canonical_names_are_fixed_points() -> None:
    for public in table("spelling")["aliases"].values():
        assert canonical(public) == public
