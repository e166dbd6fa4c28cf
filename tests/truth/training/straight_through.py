"""Quantised weights and binary activations through custom Functions with straight-through gradients."""

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class RoundSTE(Function):
    @staticmethod
    def forward(ctx, x, levels):
        ctx.levels = levels
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None


class BinarySign(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[x.abs() > 1] = 0
        return grad_input


def quantize(weight, bits=4):
    scale = weight.detach().abs().max()
    return RoundSTE.apply(weight / scale, 2 ** (bits - 1) - 1) * scale


class QuantLinear(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, quantize(self.weight), self.bias)


class BinaryNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = QuantLinear(5, 8)
        self.second = QuantLinear(8, 2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        hidden = BinarySign.apply(self.first(x))
        return self.second(hidden) * self.scale


def fake_quantize(x):
    return x + (x.round() - x).detach()


torch.manual_seed(0)
model = BinaryNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
inputs = torch.randn(8, 5)
targets = torch.randint(0, 2, (8,))
for _ in range(3):
    optimizer.zero_grad()
    logits = fake_quantize(model(inputs))
    loss = nn.functional.cross_entropy(logits, targets)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.clamp_(-1.0, 1.0)

assert torch.isfinite(loss)
assert all(p.grad is not None for p in model.parameters())
