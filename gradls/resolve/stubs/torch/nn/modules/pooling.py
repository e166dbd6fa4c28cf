# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class _AdaptiveAvgPoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class _AdaptiveMaxPoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd): ...


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd): ...


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd): ...


class _AvgPoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class AvgPool1d(_AvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class AvgPool2d(_AvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class AvgPool3d(_AvgPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class FractionalMaxPool2d(Module): ...


class FractionalMaxPool3d(Module): ...


class _LPPoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class LPPool1d(_LPPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class LPPool2d(_LPPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class LPPool3d(_LPPoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class _MaxPoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class MaxPool1d(_MaxPoolNd): ...


class MaxPool2d(_MaxPoolNd): ...


class MaxPool3d(_MaxPoolNd): ...


class _MaxUnpoolNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class MaxUnpool1d(_MaxUnpoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class MaxUnpool2d(_MaxUnpoolNd):
    def forward(self, *a, **k) -> Tensor: ...


class MaxUnpool3d(_MaxUnpoolNd):
    def forward(self, *a, **k) -> Tensor: ...
