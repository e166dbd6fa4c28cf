"""Adversarial training with FGSM and PGD."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def fgsm_attack(model, images, labels, epsilon):
    images = images.clone().detach().requires_grad_(True)
    loss = F.cross_entropy(model(images), labels)
    model.zero_grad()
    loss.backward()
    perturbed = images + epsilon * images.grad.sign()
    return torch.clamp(perturbed, 0, 1).detach()


class PGD:
    def __init__(self, model, eps=0.1, alpha=0.03, steps=2, random_start=True):
        self.model = model
        self.eps = eps
        self.alpha = alpha
        self.steps = steps
        self.random_start = random_start

    def __call__(self, images, labels):
        images = images.clone().detach()
        loss_fn = nn.CrossEntropyLoss()
        adv = images.clone().detach()
        if self.random_start:
            adv = adv + torch.empty_like(adv).uniform_(-self.eps, self.eps)
            adv = torch.clamp(adv, min=0, max=1).detach()
        for _ in range(self.steps):
            adv.requires_grad = True
            cost = loss_fn(self.model(adv), labels)
            grad = torch.autograd.grad(cost, adv, retain_graph=False, create_graph=False)[0]
            adv = adv.detach() + self.alpha * grad.sign()
            delta = torch.clamp(adv - images, min=-self.eps, max=self.eps)
            adv = torch.clamp(images + delta, min=0, max=1).detach()
        return adv


def trades_loss(model, natural, labels, attack, beta=3.0):
    model.eval()
    adversarial = attack(natural, labels)
    model.train()
    logits = model(natural)
    robust = F.kl_div(
        F.log_softmax(model(adversarial), dim=1),
        F.softmax(logits, dim=1),
        reduction="batchmean",
    )
    return F.cross_entropy(logits, labels) + beta * robust


torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
attack = PGD(model)
for step in range(3):
    images, labels = torch.rand(6, 1, 4, 4), torch.randint(0, 3, (6,))
    if step == 0:
        adv = fgsm_attack(model, images, labels, epsilon=0.1)
        loss = F.cross_entropy(model(torch.cat([images, adv])), torch.cat([labels, labels]))
    else:
        loss = trades_loss(model, images, labels, attack)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert images.grad is None
    assert not images.requires_grad

assert torch.isfinite(loss)
assert all(p.grad is not None for p in model.parameters())
