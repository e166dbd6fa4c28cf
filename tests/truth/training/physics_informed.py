"""A physics-informed network: the residual of the heat equation and its boundary."""

import torch
from torch import nn


class PINN(nn.Module):
    def __init__(self, width=12, depth=2):
        super().__init__()
        sizes = [2] + [width] * depth + [1]
        self.linears = nn.ModuleList([nn.Linear(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)])
        self.activation = nn.Tanh()
        for linear in self.linears:
            nn.init.xavier_normal_(linear.weight.data, gain=1.0)
            nn.init.zeros_(linear.bias.data)

    def forward(self, x, t):
        a = torch.cat([x, t], dim=1)
        for linear in self.linears[:-1]:
            a = self.activation(linear(a))
        return self.linears[-1](a)


def grad(outputs, inputs):
    return torch.autograd.grad(outputs, inputs, grad_outputs=torch.ones_like(outputs), create_graph=True)[0]


def residual(model, x, t, diffusivity):
    u = model(x, t)
    u_t = grad(u, t)
    u_x = grad(u, x)
    u_xx = grad(u_x, x)
    return u_t - diffusivity * u_xx


def main():
    torch.manual_seed(0)
    model = PINN()
    log_diffusivity = nn.Parameter(torch.tensor(-1.0))
    optimizer = torch.optim.Adam([*model.parameters(), log_diffusivity], lr=1e-3)
    mse = nn.MSELoss()
    history = []
    for _ in range(3):
        x = torch.rand(10, 1, requires_grad=True)
        t = torch.rand(10, 1).requires_grad_()
        f = residual(model, x, t, log_diffusivity.exp())
        loss_f = mse(f, torch.zeros_like(f))

        x0 = torch.linspace(0, 1, 8).view(-1, 1)
        loss_0 = mse(model(x0, torch.zeros_like(x0)), torch.sin(torch.pi * x0))
        edge = torch.cat([torch.zeros(4, 1), torch.ones(4, 1)])
        loss_b = model(edge, torch.rand(8, 1)).pow(2).mean()

        loss = loss_f + 10.0 * loss_0 + loss_b
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append((loss_f.item(), loss_0.item(), loss_b.item()))

    assert torch.isfinite(loss)
    assert log_diffusivity.grad is not None
    assert all(p.grad is not None for p in model.parameters())
    assert len(history) == 3


if __name__ == "__main__":
    main()
