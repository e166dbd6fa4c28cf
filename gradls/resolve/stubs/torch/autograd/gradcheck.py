# mypy: ignore-errors

from __future__ import annotations

import builtins


def gradcheck(*a, **k) -> builtins.bool: ...
def gradgradcheck(*a, **k) -> builtins.bool: ...
