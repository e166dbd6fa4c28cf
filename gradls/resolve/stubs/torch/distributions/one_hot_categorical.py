# mypy: ignore-errors

from __future__ import annotations

from torch import Size
from torch._tensor import Tensor
from torch.distributions.distribution import Distribution


class OneHotCategorical(Distribution):
    @property
    def logits(self) -> Tensor: ...
    @property
    def mean(self) -> Tensor: ...
    @property
    def mode(self) -> Tensor: ...
    @property
    def param_shape(self) -> Size: ...
    @property
    def probs(self) -> Tensor: ...
    @property
    def variance(self) -> Tensor: ...


class OneHotCategoricalStraightThrough(OneHotCategorical):
    def rsample(self, *a, **k) -> Tensor: ...
