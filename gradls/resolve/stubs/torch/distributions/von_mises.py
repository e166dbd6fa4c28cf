# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.distribution import Distribution


class VonMises(Distribution):
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
