# mypy: ignore-errors

from __future__ import annotations


def load(*a, **k): ...
def save(*a, **k) -> None: ...
