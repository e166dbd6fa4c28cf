# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch.utils.data.dataset import Dataset, IterableDataset


class IterDataPipe(IterableDataset):
    @classmethod
    def register_datapipe_as_function(cls, *a, **k) -> None: ...
    @classmethod
    def register_function(cls, *a, **k) -> None: ...
    def reset(self, *a, **k) -> None: ...
    @classmethod
    def set_getstate_hook(cls, *a, **k) -> None: ...
    @classmethod
    def set_reduce_ex_hook(cls, *a, **k) -> None: ...


class DFIterDataPipe(IterDataPipe): ...


class DataChunk(builtins.list):
    def as_str(self, *a, **k) -> builtins.str: ...


class MapDataPipe(Dataset):
    @classmethod
    def register_datapipe_as_function(cls, *a, **k) -> None: ...
    @classmethod
    def register_function(cls, *a, **k) -> None: ...
    @classmethod
    def set_getstate_hook(cls, *a, **k) -> None: ...
    @classmethod
    def set_reduce_ex_hook(cls, *a, **k) -> None: ...
