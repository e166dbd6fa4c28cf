# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.transformed_distribution import TransformedDistribution


class RelaxedBernoulli(TransformedDistribution):
    @property
    def logits(self) -> Tensor: ...
    @property
    def probs(self) -> Tensor: ...
    @property
    def temperature(self) -> Tensor: ...
