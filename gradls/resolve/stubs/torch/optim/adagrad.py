# mypy: ignore-errors

from __future__ import annotations

from torch.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    def share_memory(self, *a, **k) -> None: ...
