# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor


def parameters_to_vector(*a, **k) -> Tensor: ...
def vector_to_parameters(*a, **k) -> None: ...
