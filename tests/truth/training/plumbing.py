"""Arguments passed on by `*args` and `**kwargs`, `functools.partial`, decorators and factories."""

import functools
import time

import torch
from torch import nn

Norm = functools.partial(nn.LayerNorm, eps=1e-6)


def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        wrapper.seconds += time.perf_counter() - start
        return result

    wrapper.seconds = 0.0
    return wrapper


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x, *args, **kwargs):
        return self.fn(x, *args, **kwargs) + x


class PreNorm(nn.Module):
    def __init__(self, dim, fn, norm=Norm):
        super().__init__()
        self.norm = norm(dim)
        self.fn = fn

    def forward(self, x, **kwargs):
        return self.fn(self.norm(x), **kwargs)


class Modulated(nn.Module):
    def __init__(self, dim, *, hidden=None, act_layer=nn.GELU):
        super().__init__()
        hidden = hidden or dim * 2
        self.fc1 = nn.Linear(dim, hidden)
        self.act = act_layer()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x, scale=None):
        x = self.fc2(self.act(self.fc1(x)))
        return x if scale is None else x * (1 + scale)


def make_net(depth, dim, **options):
    blocks = [Residual(PreNorm(dim, Modulated(dim, **options))) for _ in range(depth)]
    return nn.ModuleList(blocks)


class Net(nn.Module):
    def __init__(self, *sizes, **options):
        super().__init__()
        inputs, dim, outputs = sizes
        self.stem = nn.Linear(inputs, dim)
        self.condition = nn.Linear(1, dim)
        self.blocks = make_net(2, dim, **options)
        self.head = nn.Linear(dim, outputs)

    def forward(self, x, condition):
        scale = self.condition(condition)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, scale=scale)
        return self.head(x)


def weighted(loss_fn, weight, *args, **kwargs):
    return weight * loss_fn(*args, **kwargs)


OPTIMIZERS = {"adam": functools.partial(torch.optim.Adam, betas=(0.9, 0.95)), "sgd": torch.optim.SGD}


@timed
def step(model, optimizer, batch, *, loss_fn):
    *inputs, target = batch
    optimizer.zero_grad()
    loss = loss_fn(model(*inputs), target)
    loss.backward()
    optimizer.step()
    return loss.item()


torch.manual_seed(0)
net = Net(3, 4, 2, hidden=6, act_layer=functools.partial(nn.GELU, approximate="tanh"))
optimizer = OPTIMIZERS["adam"](net.parameters(), lr=1e-3)
criterion = functools.partial(weighted, nn.functional.l1_loss, 0.5, reduction="mean")
losses = [
    step(net, optimizer, (torch.randn(4, 3), torch.rand(4, 1), torch.randn(4, 2)), loss_fn=criterion) for _ in range(3)
]
assert all(loss > 0 for loss in losses)
assert step.seconds > 0
assert all(p.grad is not None for p in net.parameters())
