"""A normalising flow of affine couplings, trained by maximum likelihood."""

import torch
from torch import nn
from torch.distributions import Independent, Normal


class AffineCoupling(nn.Module):
    def __init__(self, dim, hidden, flip):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(dim // 2, hidden), nn.Tanh(), nn.Linear(hidden, dim))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def _shift_scale(self, x):
        shift, log_scale = self.net(x).chunk(2, dim=1)
        return shift, torch.tanh(log_scale)

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        if self.flip:
            a, b = b, a
        shift, log_scale = self._shift_scale(a)
        b = b * log_scale.exp() + shift
        out = torch.cat((b, a) if self.flip else (a, b), dim=1)
        return out, log_scale.sum(dim=1)

    def inverse(self, z):
        a, b = z.chunk(2, dim=1)
        if self.flip:
            a, b = b, a
        shift, log_scale = self._shift_scale(a)
        b = (b - shift) * torch.exp(-log_scale)
        return torch.cat((b, a) if self.flip else (a, b), dim=1)


class Flow(nn.Module):
    def __init__(self, dim, layers):
        super().__init__()
        self.layers = nn.ModuleList([AffineCoupling(dim, 8, flip=bool(i % 2)) for i in range(layers)])
        self.register_buffer("loc", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    @property
    def base(self):
        return Independent(Normal(self.loc, self.scale), 1)

    def log_prob(self, x):
        log_det = torch.zeros(x.shape[0])
        for layer in self.layers:
            x, ld = layer(x)
            log_det = log_det + ld
        return self.base.log_prob(x) + log_det

    @torch.no_grad()
    def sample(self, n):
        z = self.base.sample((n,))
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z


def main():
    torch.manual_seed(0)
    flow = Flow(dim=4, layers=3)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    data = torch.randn(16, 4) * torch.tensor([1.0, 2.0, 0.5, 1.0]) + 1.0
    losses = []
    for _ in range(4):
        loss = -flow.log_prob(data).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None for p in flow.parameters())
    drawn = flow.sample(3)
    assert drawn.shape == (3, 4)
    assert not drawn.requires_grad


main()
