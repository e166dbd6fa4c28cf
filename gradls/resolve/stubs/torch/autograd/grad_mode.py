# mypy: ignore-errors

from __future__ import annotations

from torch.utils._contextlib import _DecoratorContextManager, _NoParamDecoratorContextManager


class enable_grad(_NoParamDecoratorContextManager): ...


class inference_mode(_DecoratorContextManager):
    def clone(self, *a, **k) -> inference_mode: ...


class no_grad(_NoParamDecoratorContextManager): ...


class set_grad_enabled(_DecoratorContextManager):
    def clone(self, *a, **k) -> set_grad_enabled: ...


class enforce_grad_layout_policy(_DecoratorContextManager):
    def clone(self, *a, **k) -> enforce_grad_layout_policy: ...


class set_multithreading_enabled(_DecoratorContextManager):
    def clone(self, *a, **k) -> set_multithreading_enabled: ...
