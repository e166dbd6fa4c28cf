"""A recurrent language model with truncated back-propagation through time."""

import math

import torch
from torch import nn


class RNNModel(nn.Module):
    def __init__(self, vocabulary, size, layers):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, size)
        self.rnn = nn.LSTM(size, size, num_layers=layers, batch_first=True)
        self.decoder = nn.Linear(size, vocabulary)
        self.layers = layers
        self.size = size
        self.init_weights()

    def init_weights(self):
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def init_hidden(self, batch):
        weight = next(self.parameters())
        return (
            weight.new_zeros(self.layers, batch, self.size),
            weight.new_zeros(self.layers, batch, self.size),
        )

    def forward(self, tokens, hidden):
        embedded = self.embed(tokens)
        output, hidden = self.rnn(embedded, hidden)
        return self.decoder(output), hidden


def repackage_hidden(h):
    """The states without their history."""
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def get_batch(source, start, length):
    x = source[:, start : start + length]
    y = source[:, start + 1 : start + 1 + length]
    return x, y.reshape(-1)


torch.manual_seed(3)
VOCABULARY, BATCH, WINDOW = 11, 3, 4
corpus = torch.randint(0, VOCABULARY, (BATCH, 13))
model = RNNModel(VOCABULARY, 8, 2)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
hidden = model.init_hidden(BATCH)
total_loss = 0.0

model.train()
for start in range(0, corpus.size(1) - 1, WINDOW):
    data, targets = get_batch(corpus, start, WINDOW)
    hidden = repackage_hidden(hidden)
    optimizer.zero_grad()
    output, hidden = model(data, hidden)
    loss = criterion(output.view(-1, VOCABULARY), targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    total_loss += loss.item()

assert math.isfinite(total_loss)
assert all(p.grad is not None for p in model.parameters())
assert all(h.requires_grad for h in hidden)
