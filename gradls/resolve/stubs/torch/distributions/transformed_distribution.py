# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.distributions.distribution import Distribution


class TransformedDistribution(Distribution):
    @property
    def has_rsample(self) -> builtins.bool: ...
    def rsample(self, *a, **k) -> Tensor: ...
