# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import Module


class _ConvNd(Module):
    def reset_parameters(self, *a, **k) -> None: ...


class Conv1d(_ConvNd):
    def forward(self, *a, **k) -> Tensor: ...


class Conv2d(_ConvNd):
    def forward(self, *a, **k) -> Tensor: ...


class Conv3d(_ConvNd):
    def forward(self, *a, **k) -> Tensor: ...


class _ConvTransposeNd(_ConvNd): ...


class ConvTranspose1d(_ConvTransposeNd):
    def forward(self, *a, **k) -> Tensor: ...


class ConvTranspose2d(_ConvTransposeNd):
    def forward(self, *a, **k) -> Tensor: ...


class ConvTranspose3d(_ConvTransposeNd):
    def forward(self, *a, **k) -> Tensor: ...


class _LazyConvXdMixin(LazyModuleMixin):
    def initialize_parameters(self, *a, **k) -> None: ...
    def reset_parameters(self, *a, **k) -> None: ...


class LazyConv1d(_LazyConvXdMixin, Conv1d): ...


class LazyConv2d(_LazyConvXdMixin, Conv2d): ...


class LazyConv3d(_LazyConvXdMixin, Conv3d): ...


class LazyConvTranspose1d(_LazyConvXdMixin, ConvTranspose1d): ...


class LazyConvTranspose2d(_LazyConvXdMixin, ConvTranspose2d): ...


class LazyConvTranspose3d(_LazyConvXdMixin, ConvTranspose3d): ...
