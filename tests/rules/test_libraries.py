"""Files whose functions nobody in the file calls, and data of which nothing is known."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

REVERSE = """
class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return %s


class Net(nn.Module):
    def forward(self, x, factor):
        return Reverse.apply(x, factor)
"""
SAVED = """
from data import load


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, times, x, *others):
        ctx.save_for_backward(times, %s)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        times, x, *others = ctx.saved_tensors
        return None, gradient, *[torch.zeros_like(other) for other in others]


weight = nn.Parameter(torch.ones(3))
Scaled.apply(load(), torch.ones(3, requires_grad=True), weight, weight.view(3)).sum().backward()
"""
MEMORY = """
class Agent:
    def __init__(self):
        self.actor, self.critic = nn.Linear(4, 2), nn.Linear(4, 1)
        self.held = []
        self.memory = []
        self.optimizer = torch.optim.Adam([*self.actor.parameters(), *self.critic.parameters()])

    def act(self, state):
        score = self.actor(state).sum()
        self.memory.append((score, state))
        self.held.append(score.detach().requires_grad_())

    def tune(self):
        return torch.optim.Adam(self.held)

    def learn(self):
        scores = torch.stack([step[0] for step in self.memory])
        values = self.critic(torch.stack([step[1] for step in self.memory]))
        self.optimizer.zero_grad()
        (scores * values.detach() + values).mean().backward()
        self.optimizer.step()
"""
ATTACK = """
from data import load

net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


def attack(x, y):
    x = x.clone().requires_grad_(True)
    F.cross_entropy(net(%s), y).backward()
    return x + 0.1 * x.grad.sign()


attack(load(), load())
"""
RESIDUAL = """
def residual(net: nn.Linear, points):
    points = points.clone().requires_grad_(True)
    %s
    return torch.autograd.grad(u.sum(), t, create_graph=True)[0]


def train(points):
    net = nn.Linear(2, 1)
    residual(net, points).pow(2).mean().backward()
"""
IMAGE = """
from data import load

image, net = load().clone(), nn.Linear(4, 2)
optimizer = torch.optim.Adam([image.requires_grad_()], lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(image).sum().backward()
    optimizer.step()
"""
PENALTY = """
from data import load

net, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)), load()
optimizer = torch.optim.Adam(net.parameters())
x.requires_grad = True
slope = torch.autograd.grad(net(x).sum(), x%s)[0]
(net(x).mean() + slope.norm(dim=1).mean()).backward()
optimizer.step()
"""


@pytest.mark.parametrize(
    ("code", "snippet", "blamed"),
    [
        ("GRD801", REVERSE % "-gradient * ctx.factor", "return -gradient * ctx.factor"),
        ("GRD311", ATTACK % "x.detach()", "x.grad.sign()"),
        ("GRD308", RESIDUAL % "u, t = net(points), points[:, 0]", "torch.autograd.grad(u.sum(), t, create_graph=True)"),
        ("GRD115", PENALTY % "", "torch.autograd.grad(net(x).sum(), x)"),
    ],
)
def test_found(code: str, snippet: str, blamed: str) -> None:
    assert [text for _, text in reported(code, snippet)] == [blamed]


@pytest.mark.parametrize(
    ("codes", "snippet"),
    [
        (["GRD801"], REVERSE % "-gradient * ctx.factor, None"),
        (["GRD801"], SAVED % "x, *others"),
        (["GRD801"], SAVED % "*(x, *others)"),
        (["GRD520", "GRD505", "GRD303"], MEMORY),
        (["GRD311", "GRD306"], ATTACK % "x"),
        (["GRD308"], RESIDUAL % "t = points[:, 0]\n    u = net(torch.stack([t, points[:, 1]], 1))"),
        (["GRD611"], IMAGE),
        (["GRD115", "GRD104"], PENALTY % ", create_graph=True"),
    ],
)
def test_silent(codes: list[str], snippet: str) -> None:
    assert [(code, found) for code in codes for found in reported(code, snippet)] == []
