"""Custom Functions and hooks, in programs of several shapes, each run on PyTorch."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_error, check_right, reported

WRONG = {
    ("GRD801", "straight-through with custom function, wrong count"): """
import torch
class STE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lo, hi):
        return x.clamp(lo, hi).round()
    @staticmethod
    def backward(ctx, g):
        return g, None
STE.apply(torch.randn(3, requires_grad=True), -1., 1.).sum().backward()  # raises RuntimeError: function STEBackward
""",
    ("GRD804", "custom Function saves a Python int"): """
import torch
class Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x, k)
        return x.view(-1, k).mean(1)
    @staticmethod
    def backward(ctx, g):
        x, k = ctx.saved_tensors
        return g.repeat_interleave(k) / k, None
Pool.apply(torch.randn(8, requires_grad=True), 2).sum().backward()  # raises TypeError: save_for_backward
""",
    ("GRD806", "tensor hook returns float"): """
import torch
x = torch.ones(3, requires_grad=True)
h = x * 2
h.register_hook(lambda g: g.norm().item())
h.sum().backward()  # raises TypeError: expected Variable, but hook returned 'float'
""",
}
RIGHT = {
    "WGAN-GP ordering correct": """
import torch, torch.nn as nn
G, D = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
og, od = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
for it in range(3):
    real = torch.randn(4, 3)
    for _ in range(2):
        fake = G(torch.randn(4, 2)).detach()
        a = torch.rand(4, 1)
        mix = (a * real + (1 - a) * fake).requires_grad_(True)
        grad = torch.autograd.grad(D(mix).sum(), mix, create_graph=True)[0]
        gp = ((grad.norm(2, dim=1) - 1) ** 2).mean()
        loss = D(fake).mean() - D(real).mean() + 10 * gp
        od.zero_grad(); loss.backward(); od.step()
    g = -D(G(torch.randn(4, 2))).mean()
    og.zero_grad(); g.backward(); og.step()
""",
    "correct accumulate then backward": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=.1)
for e in range(3):
    total = 0
    for k in range(3):
        total += net(torch.randn(8, 3)).pow(2).mean()
    opt.zero_grad()
    total.backward()
    opt.step()
""",
    "loading pretrained via data is fine": """
import torch, torch.nn as nn
emb = nn.Embedding(5, 3)
vecs = torch.randn(5, 3)
for i in range(5):
    emb.weight.data[i] = vecs[i]
emb.weight.data.copy_(vecs)
""",
    "GAN correct": """
import torch, torch.nn as nn
from torch.utils.data import DataLoader
G = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
D = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
g_opt = torch.optim.Adam(G.parameters()); d_opt = torch.optim.Adam(D.parameters())
bce = nn.BCELoss()
for real in DataLoader(torch.randn(16, 2), batch_size=8):
    n = real.size(0)
    ones, zeros = torch.ones(n, 1), torch.zeros(n, 1)
    fake = G(torch.randn(n, 4))
    d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()
    g_loss = bce(D(fake), ones)
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
""",
    "last step without retain: works": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
y = net(torch.randn(2, 3)).mean()
n = 4
for i in range(n):
    y.backward(retain_graph=i < n - 1)
""",
    "FGSM reading grad of normalized input": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
def fgsm(img, y, eps=0.1):
    img = (img - 0.5) / 0.5
    img.requires_grad = True
    loss = nn.functional.cross_entropy(net(img), y)
    loss.backward()
    return img + eps * img.grad.sign()
x = torch.rand(2, 3, 2, 2)
fgsm(x, torch.tensor([0, 1]))
""",
    "batchnorm relu inplace chain fine": """
import torch, torch.nn as nn
layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)]
net = nn.Sequential(*layers, nn.Dropout2d(inplace=True), nn.LeakyReLU(inplace=True))
net(torch.randn(2, 3, 8, 8)).mean().backward()
""",
    "full hook and not in place": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
net[0].register_full_backward_hook(lambda m, gi, go: None)
net(torch.randn(1, 1, 5, 5)).sum().backward()
""",
    "LBFGS correct": """
import torch
x = torch.randn(3, requires_grad=True)
opt = torch.optim.LBFGS([x])
def closure():
    opt.zero_grad()
    loss = ((x * x).exp() - 1).pow(2).sum()
    loss.backward()
    return loss
for _ in range(2):
    opt.step(closure)
""",
    "clone then modify ok": """
import torch, torch.nn as nn
x = torch.randn(2, 3, requires_grad=True)
y = x.clone()
y[:, 0] = 0
nn.Linear(3, 1)(y).sum().backward()
""",
    "detach numpy ok": """
import torch
net = torch.nn.Linear(2, 1)
to_np = lambda t: t.detach().cpu().numpy()
res = to_np(net(torch.randn(1, 2)))
""",
}


@pytest.mark.parametrize(("code", "title"), WRONG, ids=lambda value: value)
def test_is_an_error(code: str, title: str) -> None:
    check_error(code, WRONG[code, title])


@pytest.mark.parametrize("title", RIGHT)
def test_is_right(title: str) -> None:
    check_right(RIGHT[title])


HOOK = """
weight = torch.ones(3, requires_grad=True)
mask = torch.tensor([1.0, 0.0, 1.0])


def hook(grad):
    {body}


weight.register_hook(hook)
weight.sum().backward()
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("grad * mask", ["warning"]),
        ("mask * grad", ["warning"]),
        ("return grad * mask", []),
        ("print(grad * mask)", []),
        ("mask * 2", []),
        ("grad.mul_(2) * mask", []),
    ],
)
def test_hook_without_return(body: str, found: list[str]) -> None:
    assert [severity for severity, _ in reported("GRD806", HOOK.format(body=body)) if severity == "warning"] == found
