# mypy: ignore-errors

from __future__ import annotations

from torch.utils.data.sampler import Sampler


class DistributedSampler(Sampler):
    def set_epoch(self, *a, **k) -> None: ...
