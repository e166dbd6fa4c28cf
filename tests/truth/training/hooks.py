"""Hooks that record detached features and the norms of gradients, and one that clips them."""

from collections import defaultdict

import torch
from torch import nn


class FeatureRecorder:
    def __init__(self, model, names):
        self.features = {}
        self.handles = []
        modules = dict(model.named_modules())
        for name in names:
            self.handles.append(modules[name].register_forward_hook(self._hook(name)))

    def _hook(self, name):
        def hook(module, inputs, output):
            self.features[name] = output.detach().clone()

        return hook

    def remove(self):
        for handle in self.handles:
            handle.remove()
        self.handles.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class GradientNorms:
    def __init__(self, model):
        self.norms = defaultdict(list)
        for name, parameter in model.named_parameters():
            parameter.register_hook(lambda grad, name=name: self.norms[name].append(grad.norm().item()))


class SmallConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(3, 4, 3, stride=2)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(self.pool(x)))
        return self.fc(x.mean(dim=(2, 3)))


def saliency(model, image, index):
    image = image.clone().requires_grad_()
    score = model(image)[:, index].sum()
    (gradient,) = torch.autograd.grad(score, image)
    return gradient.abs().amax(dim=1)


torch.manual_seed(0)
model = SmallConvNet()
norms = GradientNorms(model)
model.fc.weight.register_hook(lambda grad: grad.clamp(-0.1, 0.1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
images, labels = torch.rand(4, 1, 8, 8), torch.randint(0, 2, (4,))
statistics = []
with FeatureRecorder(model, ["conv1", "pool"]) as recorder:
    for _ in range(2):
        logits = model(images)
        logits.retain_grad()
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        statistics.append({name: (f.mean().item(), f.std().item()) for name, f in recorder.features.items()})

assert torch.isfinite(loss)
assert logits.grad is not None
assert all(len(values) == 2 for values in norms.norms.values())
assert set(statistics[0]) == {"conv1", "pool"}
assert not recorder.features["pool"].requires_grad
assert not recorder.handles
assert saliency(model, images, 0).shape == (4, 8, 8)
assert all(p.grad is not None for p in model.parameters())
