# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class PixelShuffle(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...
    def forward(self, *a, **k) -> Tensor: ...


class PixelUnshuffle(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...
    def forward(self, *a, **k) -> Tensor: ...
