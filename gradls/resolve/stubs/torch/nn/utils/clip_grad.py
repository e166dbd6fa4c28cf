# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor


def clip_grad_norm(*a, **k) -> Tensor: ...
def clip_grad_norm_(*a, **k) -> Tensor: ...
def clip_grad_value_(*a, **k) -> None: ...
