# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor


def lobpcg(*a, **k) -> tuple[Tensor, Tensor]: ...
