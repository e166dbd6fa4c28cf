# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class _ASMoutput(builtins.tuple): ...


class AdaptiveLogSoftmaxWithLoss(Module):
    def forward(self, *a, **k) -> _ASMoutput: ...
    def log_prob(self, *a, **k) -> Tensor: ...
    def predict(self, *a, **k) -> Tensor: ...
    def reset_parameters(self, *a, **k) -> None: ...
