# mypy: ignore-errors

from __future__ import annotations

from torch import Size
from torch._tensor import Tensor
from torch.distributions.exp_family import ExponentialFamily


class ContinuousBernoulli(ExponentialFamily):
    @property
    def mean(self) -> Tensor: ...
    @property
    def param_shape(self) -> Size: ...
    def rsample(self, *a, **k) -> Tensor: ...
    @property
    def stddev(self) -> Tensor: ...
    @property
    def variance(self) -> Tensor: ...
