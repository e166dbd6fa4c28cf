# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.transformed_distribution import TransformedDistribution


class LogisticNormal(TransformedDistribution):
    @property
    def loc(self) -> Tensor: ...
    @property
    def scale(self) -> Tensor: ...
