"""Outputs as data classes and named tuples, batches moved by a helper that walks them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    tokens: Tensor
    lengths: Tensor
    labels: Tensor


@dataclass
class EncoderOutput:
    last: Tensor
    states: tuple[Tensor, ...] = ()


@dataclass
class ModelOutput:
    logits: Tensor
    loss: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    def detach(self) -> ModelOutput:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return ModelOutput(values["logits"].detach(), extras={k: v.detach() for k, v in self.extras.items()})


def move(item, device):
    if isinstance(item, Tensor):
        return item.to(device)
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return type(item)(*(move(value, device) for value in item))
    if isinstance(item, dict):
        return {key: move(value, device) for key, value in item.items()}
    return item


class Encoder(nn.Module):
    def __init__(self, vocabulary, dim):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim, padding_idx=0)
        self.gru = nn.GRU(dim, dim, batch_first=True, bidirectional=True)

    def forward(self, tokens, lengths) -> EncoderOutput:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        output, hidden = self.gru(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
        return EncoderOutput(last=torch.cat([hidden[0], hidden[1]], dim=-1), states=(padded,))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder(9, 4)
        self.head = nn.Linear(8, 3)

    def forward(self, batch: Batch) -> ModelOutput:
        encoded = self.encoder(batch.tokens, batch.lengths)
        logits = self.head(encoded.last)
        output = ModelOutput(logits=logits, extras={"states": encoded.states[0]})
        loss = nn.functional.cross_entropy(logits, batch.labels)
        return replace(output, loss=loss)


torch.manual_seed(0)
model = Tagger()
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
kept: list[ModelOutput] = []
for _ in range(2):
    tokens = torch.randint(1, 9, (3, 5))
    tokens[1, 3:] = 0
    batch = move(Batch(tokens, torch.tensor([5, 3, 5]), torch.tensor([0, 1, 2])), "cpu")
    output = model(batch)
    optimizer.zero_grad()
    output.loss.backward()
    optimizer.step()
    kept.append(output.detach())

assert torch.isfinite(output.loss)
assert all(not k.logits.requires_grad for k in kept)
assert all(p.grad is not None for p in model.parameters())
