"""Two heads on one trunk, whose losses are weighed by learned uncertainties."""

import torch
import torch.nn.functional as F
from torch import nn


class MultiTaskNet(nn.Module):
    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU())
        self.heads = nn.ModuleDict({"class": nn.Linear(hidden, classes), "depth": nn.Linear(hidden, 1)})

    def forward(self, x):
        shared = self.trunk(x)
        return {name: head(shared) for name, head in self.heads.items()}


class UncertaintyWeighting(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.log_vars = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses):
        total = 0.0
        for task, loss in losses.items():
            precision = torch.exp(-self.log_vars[task])
            total = total + precision * loss + self.log_vars[task]
        return total


def masked_l1(prediction, target, mask):
    difference = (prediction.squeeze(1) - target).abs()
    return (difference * mask).sum() / mask.sum().clamp(min=1)


def train(steps=3):
    torch.manual_seed(0)
    model = MultiTaskNet(6, 8, 3)
    weighting = UncertaintyWeighting(["class", "depth"])
    optimizer = torch.optim.Adam(
        [{"params": model.parameters()}, {"params": weighting.parameters(), "lr": 1e-2}],
        lr=1e-3,
    )
    meters = {"class": 0.0, "depth": 0.0}
    for _ in range(steps):
        x = torch.randn(6, 6)
        labels = torch.randint(0, 3, (6,))
        depth = torch.rand(6)
        mask = (depth > 0.2).float()
        outputs = model(x)
        losses = {
            "class": F.cross_entropy(outputs["class"], labels),
            "depth": masked_l1(outputs["depth"], depth, mask),
        }
        loss = weighting(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for name, value in losses.items():
            meters[name] += value.item() / steps
    return model, weighting, loss, meters


model, weighting, loss, meters = train()
assert torch.isfinite(loss)
assert all(value > 0 for value in meters.values())
assert all(p.grad is not None for p in model.parameters())
assert all(p.grad is not None for p in weighting.parameters())
