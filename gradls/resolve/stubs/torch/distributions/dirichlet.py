# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.exp_family import ExponentialFamily


class Dirichlet(ExponentialFamily):
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
    def rsample(self, *a, **k) -> Tensor: ...
    @property
    def variance(self) -> Tensor: ...
