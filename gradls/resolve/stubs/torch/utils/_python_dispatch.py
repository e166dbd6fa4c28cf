# mypy: ignore-errors

from __future__ import annotations

import builtins


class TorchDispatchMode:
    @classmethod
    def ignore_compile_internals(cls, *a, **k) -> builtins.bool: ...
    @classmethod
    def is_infra_mode(cls, *a, **k) -> builtins.bool: ...
