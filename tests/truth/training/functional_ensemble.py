"""An ensemble trained at once by vmap over stacked parameters, and gradients of single samples."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap


class MLP(nn.Module):
    def __init__(self, inputs=4, classes=3):
        super().__init__()
        self.fc1 = nn.Linear(inputs, 8)
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


torch.manual_seed(0)
x = torch.randn(6, 4)
y = torch.randint(0, 3, (6,))

models = [MLP() for _ in range(3)]
params, buffers = stack_module_state(models)
base = copy.deepcopy(models[0]).to("meta")


def forward_one(params, buffers, x):
    return functional_call(base, (params, buffers), (x,))


optimizer = torch.optim.Adam(params.values(), lr=1e-2)
for _ in range(2):
    logits = vmap(forward_one, in_dims=(0, 0, None))(params, buffers, x)
    members = torch.stack([F.cross_entropy(member, y) for member in logits])
    loss = members.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert torch.isfinite(loss)
assert all(p.grad is not None for p in params.values())

model = MLP()
weights = {name: p.detach() for name, p in model.named_parameters()}


def sample_loss(weights, sample, target):
    prediction = functional_call(model, weights, (sample.unsqueeze(0),))
    return F.cross_entropy(prediction, target.unsqueeze(0))


per_sample = vmap(grad(sample_loss), in_dims=(None, 0, 0))(weights, x, y)
norms = torch.stack([g.flatten(1).norm(dim=1) for g in per_sample.values()]).norm(dim=0)
clip = (1.0 / (norms + 1e-6)).clamp(max=1.0)
private = torch.optim.SGD(model.parameters(), lr=0.1)
for name, p in model.named_parameters():
    g = per_sample[name]
    scale = clip.view(-1, *([1] * (g.dim() - 1)))
    p.grad = (g * scale).mean(dim=0) + 0.01 * torch.randn_like(p)
private.step()

with torch.no_grad():
    mean = vmap(forward_one, in_dims=(0, 0, None))(params, buffers, x).softmax(-1).mean(0)
assert mean.shape == (6, 3)
assert not mean.requires_grad
assert norms.shape == (6,)
assert all(p.grad is not None for p in model.parameters())
