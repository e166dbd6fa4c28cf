# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class CosineSimilarity(Module):
    def forward(self, *a, **k) -> Tensor: ...


class PairwiseDistance(Module):
    def forward(self, *a, **k) -> Tensor: ...
