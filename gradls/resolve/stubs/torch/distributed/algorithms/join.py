# mypy: ignore-errors

from __future__ import annotations

from torch import device


class JoinHook:
    def main_hook(self, *a, **k) -> None: ...
    def post_hook(self, *a, **k) -> None: ...


class Joinable:
    @property
    def join_device(self) -> device: ...
    def join_hook(self, *a, **k) -> JoinHook: ...
