# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import Module


class Bilinear(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...
    def forward(self, *a, **k) -> Tensor: ...
    def reset_parameters(self, *a, **k) -> None: ...


class Identity(Module):
    def forward(self, *a, **k) -> Tensor: ...


class Linear(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...
    def forward(self, *a, **k) -> Tensor: ...
    def reset_parameters(self, *a, **k) -> None: ...


class LazyLinear(LazyModuleMixin, Linear):
    def initialize_parameters(self, *a, **k) -> None: ...
    def reset_parameters(self, *a, **k) -> None: ...
