# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class _DropoutNd(Module):
    def extra_repr(self, *a, **k) -> builtins.str: ...


class AlphaDropout(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...


class Dropout(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...


class Dropout1d(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...


class Dropout2d(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...


class Dropout3d(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...


class FeatureAlphaDropout(_DropoutNd):
    def forward(self, *a, **k) -> Tensor: ...
