# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor


def pca_lowrank(*a, **k) -> tuple[Tensor, Tensor, Tensor]: ...
def svd_lowrank(*a, **k) -> tuple[Tensor, Tensor, Tensor]: ...
