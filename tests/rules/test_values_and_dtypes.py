"""Rules that rest on known numbers, dtypes and shapes."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

SET_UP = """
import math
import numpy as np
from torch.utils.checkpoint import checkpoint
net, x = nn.Linear(3, 4), torch.randn(2, 3)
double = torch.from_numpy(np.random.rand(2, 3))
"""


@pytest.mark.parametrize(
    ("code", "statement", "severity"),
    [
        ("GRD316", "if net(x) > 0: pass", ["error"]),
        ("GRD316", "while not net(x).argmax(1): pass", ["error"]),
        ("GRD316", "assert 0 < net(x) < 1", ["error"]),
        ("GRD316", "float(net(x))", ["error"]),
        ("GRD316", "for row in x:\n    if row: pass", ["error"]),
        ("GRD316", "for row in x:\n    if row.sum() > 0 and row[0] < 1: pass", []),
        ("GRD316", "y = torch.zeros(1)\ny.unsqueeze_(0)\nif y: pass", []),
        ("GRD316", "if x is None or x == 'none': pass", []),
        ("GRD518", "net(double)", ["error"]),
        ("GRD518", "net(double * 2 + 1)", ["error"]),
        ("GRD518", "net(torch.tensor(double.numpy() / 2))", ["error"]),
        ("GRD518", "def run(m):\n    return m(double)\nrun(nn.Sequential(nn.Flatten(), net))", ["error"]),
        ("GRD518", "with torch.autocast('cpu'):\n    net(double)", ["error"]),
        ("GRD518", "net.double()(x)", ["error"]),
        ("GRD518", "net.half()(x.half() + torch.ones(3, dtype=torch.float32))", ["error"]),
        ("GRD518", "double @ net.weight.T", ["error"]),
        ("GRD518", "net(torch.ones(3, dtype=torch.long))", ["error"]),
        ("GRD518", "net(double.float())", []),
        ("GRD518", "net.double()(double)", []),
        ("GRD518", "convert(net)\nnet(double)", []),
        ("GRD518", "with torch.autocast('cpu'):\n    net(x.half())", []),
        ("GRD518", "net(torch.Tensor(double.numpy()))", []),
        ("GRD518", "net(double.to(net.weight.dtype))", []),
        ("GRD518", "for p in net.parameters():\n    p.data = p.data.double()\nnet(double)", []),
        ("GRD518", "torch.set_default_dtype(torch.float64)\nnn.Linear(3, 1)(double)", []),
        ("GRD518", "nn.Embedding(3, 2)(torch.arange(3) / 2)", ["error"]),
        ("GRD518", "nn.Embedding(3, 2)(torch.arange(4))", ["error"]),
        ("GRD518", "nn.Embedding(3, 2)(torch.randint(0, 9, (2,)))", ["information"]),
        ("GRD518", "nn.Embedding(3, 2)(torch.arange(5)[:2])", []),
        ("GRD518", "i = torch.tensor([7])\ni.zero_()\nnn.Embedding(3, 2)(i)", []),
        ("GRD518", "nn.BatchNorm1d(4)(net(x[:1]))", ["error"]),
        ("GRD518", "nn.BatchNorm1d(4).eval()(net(x[:1]))", []),
        ("GRD518", "def test():\n    nn.BatchNorm1d(4)(net(x[:1]))", ["error"]),
        (
            "GRD518",
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n        "
            "self.n = nn.BatchNorm1d(3)\n    def forward(self, y):\n        return self.n(x[:1])",
            [],
        ),
        ("GRD518", "nn.BatchNorm2d(3)(torch.randn(1, 3, 2, 2))", []),
        ("GRD409", "F.cross_entropy(net(x), torch.tensor([4, 0]))", ["error"]),
        ("GRD409", "F.cross_entropy(net(x), torch.tensor([-1, 0]))", ["error"]),
        ("GRD409", "nn.CrossEntropyLoss(ignore_index=-1)(net(x), torch.tensor([-1, 0]))", []),
        ("GRD409", "F.cross_entropy(net(x), torch.randint(1, 6, (2,)))", ["information"]),
        ("GRD409", "y = torch.tensor([4, 0])\ny[0] = 1\nF.cross_entropy(net(x), y)", []),
        ("GRD409", "F.binary_cross_entropy(torch.tensor([0.5, -0.1]), torch.ones(2))", ["error"]),
        ("GRD409", "F.binary_cross_entropy(torch.rand(2), torch.full((2,), 2.0))", ["error"]),
        ("GRD409", "F.binary_cross_entropy(net(x).sigmoid(), torch.ones(2, 4))", []),
        ("GRD409", "F.cosine_embedding_loss(net(x), net(x), torch.randint(0, 2, (2,)).float())", ["warning"]),
        ("GRD409", "nn.MarginRankingLoss()(net(x)[:, 0], net(x)[:, 1], torch.tensor([0.0, 1.0]))", ["warning"]),
        ("GRD409", "F.hinge_embedding_loss(net(x), 2 * torch.randint(0, 2, (2, 4)) - 1)", []),
        ("GRD409", "F.soft_margin_loss(net(x), torch.ones(2, 4))", []),
        ("GRD409", "F.soft_margin_loss(net(x), torch.tensor([[-1.0, 0.0, 1.0, 1.0]]).expand(2, 4))", []),
        ("GRD409", "F.multilabel_soft_margin_loss(net(x), torch.randint(0, 2, (2, 4)).float())", []),
    ],
)
def test_refused(code: str, statement: str, severity: list[str]) -> None:
    assert [found[0] for found in reported(code, SET_UP + statement)] == severity


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("((net(x) - net(x)) ** 2).sum(1).sqrt()", 1),
        ("torch.sqrt(net(x).pow(2).sum(dim=1, keepdim=True)) + 1e-8", 1),
        ("torch.log(net(x).softmax(1))", 1),
        ("torch.log(1 - net(x).sigmoid())", 1),
        ("torch.acos(F.cosine_similarity(net(x), net(x + 1)))", 1),
        ("torch.acos(net(x).clamp(-1, 1))", 1),
        ("net(x).clamp(min=0) ** 0.5", 1),
        ("h = net(x)\ntorch.where(h > 0, h.log(), torch.zeros_like(h))", 1),
        ("h = net(x)\ntorch.where(h != 0, 1 / h, torch.zeros_like(h))", 1),
        ("def f(v):\n    return torch.where(v <= 0.003, 12.9 * v, 1.05 * v ** (1 / 2.4))", 1),
        ("def f(u, v):\n    return (u - v).pow(2).sum(-1).sqrt()", 1),
        ("net(x).masked_fill(torch.ones(4, 4).triu().bool()[:2], -math.inf).softmax(-1)", 0),
        ("(net(x) @ net(x).T).masked_fill(torch.ones(2, 2).tril() == 1, -math.inf).softmax(-1)", 1),
        ("(net(x) @ net(x).T).masked_fill(torch.ones(2, 2).tril() == 0, -math.inf).softmax(-1)", 0),
        ("(net(x) @ net(x).T).masked_fill(torch.ones(2, 2).tril(-1) == 0, -math.inf).softmax(-1)", 1),
        ("(net(x) @ net(x).T).masked_fill(torch.ones(2, 2).triu(1) == 0, -math.inf).softmax(-1)", 1),
        ("(net(x) @ net(x).T).masked_fill(torch.ones(2, 2).triu(1) == 1, -math.inf).softmax(-1)", 0),
        (
            "m = torch.ones(9, 9).tril(-1)\nn = len(x)\n"
            "(net(x) @ net(x).T).masked_fill(m[:n, :n] == 0, -math.inf).softmax(-1)",
            1,
        ),
        (
            "m = torch.ones(9, 9).tril()\nn = len(x)\n"
            "(net(x) @ net(x).T).masked_fill(m[:n, :n] == 0, -math.inf).softmax(-1)",
            0,
        ),
        ("m = torch.ones(9, 9).tril(-1)\n(net(x) @ net(x).T).masked_fill(m[1:3, :2] == 0, -math.inf).softmax(-1)", 0),
        ("net(x).masked_fill(x.sum(1, keepdim=True) > 0, -math.inf) / net.weight.mean()", 1),
        ("net.weight.mean() * net(x).masked_fill(x.sum(1, keepdim=True) > 0, float('-inf'))", 1),
        ("net(x).masked_fill(x.sum(1, keepdim=True) > 0, -math.inf) / 0.1", 0),
        ("net(x).masked_fill(x.sum(1, keepdim=True) > 0, -1e9) / net.weight.mean()", 0),
        ("(net(x) / net.weight.mean()).masked_fill(x.sum(1, keepdim=True) > 0, -math.inf)", 0),
        ("n = x.sum(1, keepdim=True)\ntorch.where(n > 0, net(x) / n, torch.zeros(2, 4))", 1),
        ("n = x.sum(1, keepdim=True)\ntorch.where(n > 0, net(x) / n.clamp(min=1), torch.zeros(2, 4))", 0),
        ("n = x.sum(1, keepdim=True)\ntorch.where(n > 0, x / n, torch.zeros(2, 3)).sum() + net(x).sum()", 0),
        ("((net(x) - net(x)) ** 2 + 1e-8).sum(1).sqrt()", 0),
        ("torch.log(net(x).softmax(1) + 1e-8)", 0),
        ("torch.acos(net(x).clamp(-1 + 1e-6, 1 - 1e-6))", 0),
        ("torch.sqrt(F.mse_loss(net(x), x.new_zeros(2, 4)))", 0),
        ("torch.sqrt(F.softplus(net(x)))", 0),
        ("net(x).norm(dim=1)", 0),
        ("with torch.no_grad():\n    net(x).pow(2).sum(1).sqrt()", 0),
        ("h = net(x)\nsafe = torch.where(h > 0, h, torch.ones_like(h))\ntorch.where(h > 0, safe.log(), h)", 0),
        ("h = net(x)\ntorch.where(h > 0.5, h, 0.5 * h**2)", 0),
        ("def f(sigma, data):\n    return (sigma**2 + data**2) ** 0.5", 0),
    ],
)
def test_infinite_gradient(statement: str, count: int) -> None:
    found = reported("GRD119", SET_UP + statement)
    assert len(found) == count
    assert all(severity == "information" for severity, _ in found)


SCHEDULE = """
optimizer = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=200)
for epoch in range({rounds}):
    for batch in range(100):
        optimizer.step()
        {step}
"""


@pytest.mark.parametrize(
    ("rounds", "step", "count"),
    [
        (3, "schedule.step()", 1),
        (2, "schedule.step()", 0),
        (3, "if batch % 2: schedule.step()", 0),
        (3, "if input(): break\n        schedule.step()", 0),
    ],
)
def test_schedule(rounds: int, step: str, count: int) -> None:
    assert len(reported("GRD619", SCHEDULE.format(rounds=rounds, step=step))) == count


CHECKPOINT = """
from torch.utils.checkpoint import checkpoint
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.kept = nn.Linear(3, 3), 0, None
    def forward(self, x):
        {body}
checkpoint(Block(), torch.randn(2, 3, requires_grad=True), use_reentrant=False).sum().backward()
"""


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("self.calls += 1\n        return self.layer(x).tanh() if self.calls == 1 else self.layer(x)", 1),
        ("if self.kept is None: self.kept = self.layer(x)\n        return self.kept.tanh()", 1),
        ("self.calls += 1\n        return (x if self.calls == 1 else x[:1]).sin()", 1),
        ("self.calls += 1\n        return self.layer(x).tanh()", 0),
        ("self.kept = self.layer(x)\n        return self.kept.tanh()", 0),
        ("self.calls += 1\n        return self.layer(x) if self.calls == 1 else self.layer(x).tanh()", 0),
    ],
)
def test_recomputation(body: str, count: int) -> None:
    assert len(reported("GRD809", CHECKPOINT.format(body=body))) == count
