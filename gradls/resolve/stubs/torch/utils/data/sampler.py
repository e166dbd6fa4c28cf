# mypy: ignore-errors

from __future__ import annotations

import builtins


class Sampler: ...


class BatchSampler(Sampler): ...


class RandomSampler(Sampler):
    @property
    def num_samples(self) -> builtins.int: ...


class SequentialSampler(Sampler): ...


class SubsetRandomSampler(Sampler): ...


class WeightedRandomSampler(Sampler): ...
