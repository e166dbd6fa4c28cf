"""A Gaussian process: raw parameters through softplus, the marginal likelihood by Cholesky."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def inverse_softplus(value):
    return math.log(math.expm1(value))


class RBFKernel(nn.Module):
    def __init__(self, lengthscale=1.0, variance=1.0):
        super().__init__()
        self.raw_lengthscale = nn.Parameter(torch.tensor(inverse_softplus(lengthscale)))
        self.raw_variance = nn.Parameter(torch.tensor(inverse_softplus(variance)))

    @property
    def lengthscale(self):
        return F.softplus(self.raw_lengthscale)

    @property
    def variance(self):
        return F.softplus(self.raw_variance)

    def forward(self, a, b):
        distance = torch.cdist(a / self.lengthscale, b / self.lengthscale).pow(2)
        return self.variance * torch.exp(-0.5 * distance)


class ExactGP(nn.Module):
    def __init__(self, x, y):
        super().__init__()
        self.kernel = RBFKernel()
        self.mean = nn.Parameter(torch.zeros(1))
        self.raw_noise = nn.Parameter(torch.full((1,), inverse_softplus(0.1)))
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def _cholesky(self):
        n = self.x.shape[0]
        noise = F.softplus(self.raw_noise) + 1e-4
        covariance = self.kernel(self.x, self.x) + noise * torch.eye(n)
        return torch.linalg.cholesky(covariance)

    def neg_log_likelihood(self):
        chol = self._cholesky()
        diff = (self.y - self.mean).unsqueeze(-1)
        alpha = torch.cholesky_solve(diff, chol)
        fit = 0.5 * (diff * alpha).sum()
        complexity = torch.log(torch.diagonal(chol)).sum()
        return fit + complexity + 0.5 * len(self.y) * math.log(2 * math.pi)

    @torch.no_grad()
    def predict(self, x):
        chol = self._cholesky()
        cross = self.kernel(self.x, x)
        alpha = torch.cholesky_solve((self.y - self.mean).unsqueeze(-1), chol)
        mean = self.mean + (cross.t() @ alpha).squeeze(-1)
        v = torch.linalg.solve_triangular(chol, cross, upper=False)
        return mean, self.kernel.variance - v.pow(2).sum(dim=0)


torch.manual_seed(0)
x = torch.linspace(0, 3, 8).unsqueeze(-1)
y = torch.sin(x).squeeze(-1) + 0.05 * torch.randn(8)
gp = ExactGP(x, y)
optimizer = torch.optim.Adam(gp.parameters(), lr=0.05)
trace = []
for _ in range(4):
    optimizer.zero_grad()
    loss = gp.neg_log_likelihood()
    loss.backward()
    optimizer.step()
    trace.append((loss.item(), gp.kernel.lengthscale.item()))
mean, variance = gp.predict(x)
assert trace[-1][0] < trace[0][0]
assert (variance > -1e-4).all()
assert torch.isfinite(mean).all()
assert all(p.grad is not None for p in gp.parameters())
