# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.distribution import Distribution


class StudentT(Distribution):
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
    def rsample(self, *a, **k) -> Tensor: ...
    @property
    def variance(self) -> Tensor: ...
