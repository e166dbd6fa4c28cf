# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.gamma import Gamma


class Chi2(Gamma):
    @property
    def df(self) -> Tensor: ...
