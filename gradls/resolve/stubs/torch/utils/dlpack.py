# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor


def from_dlpack(*a, **k) -> Tensor: ...
