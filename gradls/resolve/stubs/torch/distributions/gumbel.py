# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.transformed_distribution import TransformedDistribution


class Gumbel(TransformedDistribution):
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
    @property
    def stddev(self) -> Tensor: ...
    @property
    def variance(self) -> Tensor: ...
