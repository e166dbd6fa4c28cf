# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import Module


class _NormBase(Module):
    def reset_parameters(self, *a, **k) -> None: ...
    def reset_running_stats(self, *a, **k) -> None: ...


class _BatchNorm(_NormBase):
    def forward(self, *a, **k) -> Tensor: ...


class BatchNorm1d(_BatchNorm): ...


class BatchNorm2d(_BatchNorm): ...


class BatchNorm3d(_BatchNorm): ...


class _LazyNormBase(LazyModuleMixin, _NormBase):
    def initialize_parameters(self, *a, **k) -> None: ...
    def reset_parameters(self, *a, **k) -> None: ...


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm): ...


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm): ...


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm): ...


class SyncBatchNorm(_BatchNorm):
    def forward(self, *a, **k) -> Tensor: ...
