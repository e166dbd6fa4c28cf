# mypy: ignore-errors

from __future__ import annotations


class RemovableHandle:
    def remove(self, *a, **k) -> None: ...
