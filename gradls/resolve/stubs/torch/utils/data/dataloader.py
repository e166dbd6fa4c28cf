# mypy: ignore-errors

from __future__ import annotations


class DataLoader:
    def check_worker_number_rationality(self, *a, **k) -> None: ...


class _DatasetKind: ...
