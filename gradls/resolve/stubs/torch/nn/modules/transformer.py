# mypy: ignore-errors

from __future__ import annotations

from torch._tensor import Tensor
from torch.nn.modules.module import Module


class Transformer(Module):
    def forward(self, *a, **k) -> Tensor: ...
    @staticmethod
    def generate_square_subsequent_mask(*a, **k) -> Tensor: ...


class TransformerDecoder(Module):
    def forward(self, *a, **k) -> Tensor: ...


class TransformerDecoderLayer(Module):
    def forward(self, *a, **k) -> Tensor: ...


class TransformerEncoder(Module):
    def forward(self, *a, **k) -> Tensor: ...


class TransformerEncoderLayer(Module):
    def forward(self, *a, **k) -> Tensor: ...
