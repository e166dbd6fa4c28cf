"""Metric learning: a shared tower, triplet, contrastive and InfoNCE losses."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Triplets(Dataset):
    def __init__(self, size, classes=3):
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.arange(size) % classes
        self.points = torch.randn(size, 5, generator=generator) + self.labels.unsqueeze(1)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        same = self.labels == self.labels[index]
        positive = int(torch.where(same)[0][-1])
        negative = int(torch.where(~same)[0][0])
        return self.points[index], self.points[positive], self.points[negative]


class Tower(nn.Module):
    def __init__(self, inputs, dim):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 16), nn.PReLU(), nn.Linear(16, dim))

    def forward(self, x):
        return F.normalize(self.layers(x), dim=-1)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = Tower(5, 4)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, *views):
        return [self.tower(view) for view in views]


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        distance = F.pairwise_distance(a, b)
        return (same * distance.pow(2) + (1 - same) * F.relu(self.margin - distance).pow(2)).mean()


def info_nce(a, b, scale):
    logits = scale.exp() * a @ b.t()
    labels = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


torch.manual_seed(0)
loader = DataLoader(Triplets(9), batch_size=3)
model = Siamese()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
triplet = nn.TripletMarginLoss(margin=0.5)
contrastive = ContrastiveLoss()
for anchor, positive, negative in loader:
    a, p, n = model(anchor, positive, negative)
    ones, zeros = torch.ones(len(a)), torch.zeros(len(a))
    pair_loss = contrastive(a, p, ones) + contrastive(a, n, zeros)
    loss = triplet(a, p, n) + 0.5 * pair_loss + 0.1 * info_nce(a, p, model.logit_scale)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, 4.6)

assert torch.isfinite(loss)
assert all(p.grad is not None for p in model.parameters())
