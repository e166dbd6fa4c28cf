# mypy: ignore-errors

from __future__ import annotations

from torch.utils.data.datapipes.datapipe import IterDataPipe


class functional_datapipe: ...


class guaranteed_datapipes_determinism: ...


class non_deterministic:
    def deterministic_wrapper_fn(self, *a, **k) -> IterDataPipe: ...


class runtime_validation_disabled: ...


def argument_validation(*a, **k): ...
def runtime_validation(*a, **k): ...
