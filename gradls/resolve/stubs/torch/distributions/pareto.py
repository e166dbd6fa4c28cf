# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.distributions.constraints import Constraint
from torch.distributions.transformed_distribution import TransformedDistribution


class Pareto(TransformedDistribution):
    def entropy(self, *a, **k) -> Tensor: ...
    def expand(self, *a, **k) -> Pareto: ...
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
    @property
    def support(self) -> Constraint: ...
    @property
    def variance(self) -> Tensor: ...
