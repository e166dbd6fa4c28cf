# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._C import _TensorMeta
from torch._tensor import Tensor


class Parameter(Tensor): ...


class Buffer(Tensor): ...


class UninitializedTensorMixin:
    def materialize(self, *a, **k) -> None: ...


class UninitializedBuffer(UninitializedTensorMixin, Tensor): ...


class UninitializedParameter(UninitializedTensorMixin, Parameter): ...


class _BufferMeta(_TensorMeta): ...


class _ParameterMeta(_TensorMeta): ...


def is_lazy(*a, **k) -> builtins.bool: ...
