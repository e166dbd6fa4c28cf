"""Bootstrap your own latent: an online network predicts what a slowly following teacher sees."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


class EMA:
    def __init__(self, beta):
        self.beta = beta

    def update_average(self, old, new):
        if old is None:
            return new
        return old * self.beta + (1 - self.beta) * new


def update_moving_average(ema, ma_model, current_model):
    for current_params, ma_params in zip(current_model.parameters(), ma_model.parameters(), strict=True):
        old_weight, up_weight = ma_params.data, current_params.data
        ma_params.data = ema.update_average(old_weight, up_weight)


def set_requires_grad(model, val):
    for p in model.parameters():
        p.requires_grad = val


def MLP(dim, projection_size, hidden_size=16):
    return nn.Sequential(
        nn.Linear(dim, hidden_size),
        nn.BatchNorm1d(hidden_size),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_size, projection_size),
    )


def loss_fn(x, y):
    x = F.normalize(x, dim=-1, p=2)
    y = F.normalize(y, dim=-1, p=2)
    return 2 - 2 * (x * y).sum(dim=-1)


class BYOL(nn.Module):
    def __init__(self, net, dim, moving_average_decay=0.9):
        super().__init__()
        self.online_encoder = nn.Sequential(net, MLP(dim, 4))
        self.target_encoder = copy.deepcopy(self.online_encoder)
        set_requires_grad(self.target_encoder, False)
        self.target_ema_updater = EMA(moving_average_decay)
        self.online_predictor = MLP(4, 4)

    def update(self):
        update_moving_average(self.target_ema_updater, self.target_encoder, self.online_encoder)

    def augment(self, x):
        return x + 0.1 * torch.randn_like(x)

    def forward(self, x):
        one, two = self.augment(x), self.augment(x)
        online_pred_one = self.online_predictor(self.online_encoder(one))
        online_pred_two = self.online_predictor(self.online_encoder(two))
        with torch.no_grad():
            target_one = self.target_encoder(one)
            target_two = self.target_encoder(two)
        loss_one = loss_fn(online_pred_one, target_two.detach())
        loss_two = loss_fn(online_pred_two, target_one.detach())
        return (loss_one + loss_two).mean()


torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
learner = BYOL(backbone, 8)
opt = torch.optim.Adam((p for p in learner.parameters() if p.requires_grad), lr=3e-4)
teacher_before = [p.clone() for p in learner.target_encoder.parameters()]
for _ in range(3):
    images = torch.randn(8, 6)
    loss = learner(images)
    opt.zero_grad()
    loss.backward()
    opt.step()
    learner.update()

assert torch.isfinite(loss)
assert all(p.grad is not None for p in learner.online_encoder.parameters())
assert all(p.grad is not None for p in learner.online_predictor.parameters())
assert all(p.grad is None for p in learner.target_encoder.parameters())
assert any(not torch.equal(a, b) for a, b in zip(teacher_before, learner.target_encoder.parameters(), strict=True))
