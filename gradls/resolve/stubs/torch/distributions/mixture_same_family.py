# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.categorical import Categorical
from torch.distributions.distribution import Distribution


class MixtureSameFamily(Distribution):
    @property
    def component_distribution(self) -> Distribution: ...
    @property
    def mean(self) -> Tensor: ...
    @property
    def mixture_distribution(self) -> Categorical: ...
    @property
    def variance(self) -> Tensor: ...
