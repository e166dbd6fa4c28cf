# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.nn.modules.batchnorm import _LazyNormBase, _NormBase


class _InstanceNorm(_NormBase):
    def forward(self, *a, **k) -> Tensor: ...


class InstanceNorm1d(_InstanceNorm): ...


class InstanceNorm2d(_InstanceNorm): ...


class InstanceNorm3d(_InstanceNorm): ...


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm): ...


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm): ...


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm): ...
