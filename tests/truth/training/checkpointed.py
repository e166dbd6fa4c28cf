"""A deep residual model that recomputes its blocks in backward."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Deep(nn.Module):
    def __init__(self, dim, depth, gradient_checkpointing=True):
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.inputs = nn.Linear(3, dim)
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            self.blocks.append(FeedForward(dim))
        self.tail = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, dim), nn.Tanh())
        self.head = nn.Linear(dim, 1)

    def forward(self, x):
        h = self.inputs(x)
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                h = checkpoint(block, h, use_reentrant=False)
            else:
                h = block(h)
        h = checkpoint_sequential(self.tail, 2, h, use_reentrant=False)
        return self.head(h).squeeze(-1)


def step(model, optimizer, x, y):
    model.train()
    prediction = model(x)
    loss = nn.functional.huber_loss(prediction, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


torch.manual_seed(0)
model = Deep(6, depth=3)
optimizer = torch.optim.NAdam(model.parameters(), lr=1e-3)
x = torch.randn(8, 3)
y = x.sum(dim=1) * 0.5
losses = [step(model, optimizer, x, y) for _ in range(3)]

with_checkpoint = [p.grad.clone() for p in model.parameters()]
model.gradient_checkpointing = False
loss = nn.functional.huber_loss(model(x), y)
model.zero_grad()
loss.backward()
assert torch.isfinite(torch.stack(losses)).all()
assert len(with_checkpoint) == len(list(model.parameters()))
assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
