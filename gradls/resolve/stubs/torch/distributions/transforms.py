# mypy: ignore-errors

from __future__ import annotations

import builtins


class Transform:
    @property
    def event_dim(self) -> builtins.int: ...
    @property
    def inv(self) -> Transform: ...
    @property
    def sign(self) -> builtins.int: ...


class AbsTransform(Transform): ...


class AffineTransform(Transform):
    @property
    def event_dim(self) -> builtins.int: ...


class CatTransform(Transform):
    @property
    def bijective(self) -> builtins.bool: ...


class ComposeTransform(Transform):
    @property
    def inv(self) -> Transform: ...


class CorrCholeskyTransform(Transform): ...


class CumulativeDistributionTransform(Transform): ...


class ExpTransform(Transform): ...


class IndependentTransform(Transform):
    @property
    def bijective(self) -> builtins.bool: ...
    @property
    def sign(self) -> builtins.int: ...


class LowerCholeskyTransform(Transform): ...


class PositiveDefiniteTransform(Transform): ...


class PowerTransform(Transform): ...


class ReshapeTransform(Transform): ...


class SigmoidTransform(Transform): ...


class SoftmaxTransform(Transform): ...


class SoftplusTransform(Transform): ...


class StackTransform(Transform):
    @property
    def bijective(self) -> builtins.bool: ...


class StickBreakingTransform(Transform): ...


class TanhTransform(Transform): ...
