"""Model-agnostic meta-learning: a functional inner loop whose gradients the outer loop goes through."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call


class Sine(nn.Module):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def sample_task(generator: torch.Generator):
    amplitude = torch.rand(1, generator=generator) * 4 + 0.1
    phase = torch.rand(1, generator=generator) * 3

    def draw(count: int):
        x = torch.rand(count, 1, generator=generator) * 10 - 5
        return x, amplitude * torch.sin(x + phase)

    return draw


def adapt(model, params, x, y, lr, steps):
    """The parameters after some steps of gradient descent, as functions of those before."""
    for _ in range(steps):
        loss = F.mse_loss(functional_call(model, params, (x,)), y)
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        params = {name: p - lr * g for (name, p), g in zip(params.items(), grads, strict=True)}
    return params


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = Sine()
    meta_optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        meta_losses = []
        for _ in range(3):
            draw = sample_task(generator)
            support_x, support_y = draw(5)
            query_x, query_y = draw(5)
            fast = adapt(model, dict(model.named_parameters()), support_x, support_y, lr=0.01, steps=2)
            prediction = functional_call(model, fast, (query_x,))
            meta_losses.append(F.mse_loss(prediction, query_y))
        meta_loss = torch.stack(meta_losses).mean()
        meta_optimizer.zero_grad()
        meta_loss.backward()
        meta_optimizer.step()

    assert torch.isfinite(meta_loss)
    for old, new in zip(before, model.parameters(), strict=True):
        assert new.grad is not None
        assert not torch.equal(old, new)


if __name__ == "__main__":
    main()
