# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch.distributed.algorithms.join import Joinable
from torch.nn.modules.module import Module


class DistributedDataParallel(Module, Joinable):
    @property
    def broadcast_buffers(self) -> builtins.bool: ...
    def register_comm_hook(self, *a, **k) -> None: ...
