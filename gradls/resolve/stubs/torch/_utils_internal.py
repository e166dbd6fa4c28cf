# mypy: ignore-errors

from __future__ import annotations

import builtins


def get_file_path(*a, **k) -> builtins.str: ...
def prepare_multiprocessing_environment(*a, **k) -> None: ...
def profiler_allow_cudagraph_cupti_lazy_reinit_cuda12(*a, **k): ...
