# mypy: ignore-errors

from torch.utils.data.sampler import Sampler

class DistributedSampler(Sampler):
    def set_epoch(self, *a, **k) -> None: ...
