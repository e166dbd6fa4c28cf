# mypy: ignore-errors

from __future__ import annotations

import builtins

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class _Loss(Module): ...


class _WeightedLoss(_Loss): ...


class BCELoss(_WeightedLoss):
    def forward(self, *a, **k) -> Tensor: ...


class BCEWithLogitsLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class CTCLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class CosineEmbeddingLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class CrossEntropyLoss(_WeightedLoss):
    def forward(self, *a, **k) -> Tensor: ...


class GaussianNLLLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class HingeEmbeddingLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class HuberLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class KLDivLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class L1Loss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class LinearCrossEntropyLoss(_WeightedLoss):
    def extra_repr(self, *a, **k) -> builtins.str: ...
    def forward(self, *a, **k) -> Tensor: ...


class MSELoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class MarginRankingLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class MultiLabelMarginLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class MultiLabelSoftMarginLoss(_WeightedLoss):
    def forward(self, *a, **k) -> Tensor: ...


class MultiMarginLoss(_WeightedLoss):
    def forward(self, *a, **k) -> Tensor: ...


class NLLLoss(_WeightedLoss):
    def forward(self, *a, **k) -> Tensor: ...


class NLLLoss2d(NLLLoss): ...


class PoissonNLLLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class SmoothL1Loss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class SoftMarginLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class TripletMarginLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...


class TripletMarginWithDistanceLoss(_Loss):
    def forward(self, *a, **k) -> Tensor: ...
