# mypy: ignore-errors

from torch._tensor import Tensor

def lobpcg(*a, **k) -> tuple[Tensor, Tensor]: ...
