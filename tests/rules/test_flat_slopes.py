"""Second derivatives of what is piecewise linear."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

NET = """
net = nn.Sequential(nn.Linear(2, 8), {activation}, nn.Linear(8, 8), {activation}, nn.Linear(8, 1))
x = torch.rand(5, 1, requires_grad=True)
t = torch.rand(5, 1, requires_grad=True)
u = net(torch.cat([x, t], 1)){more}
u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
second = torch.autograd.grad({slope}, x, create_graph=True)[0]
{check}
"""
ZERO, NOT_ZERO = "assert not second.any()", "assert second.any()"


@pytest.mark.parametrize(
    ("activation", "more", "slope", "flat"),
    [
        ("nn.ReLU()", "", "u_x.sum()", True),
        ("nn.LeakyReLU(0.1)", "", "u_x.sum()", True),
        ("nn.PReLU()", "", "u_t.sum()", True),
        ("nn.Hardtanh()", " * 3.0 + x - t", "(2 * u_x).mean()", True),
        ("nn.ReLU()", "", "u_x.pow(2).sum()", True),
        ("nn.Tanh()", "", "u_x.sum()", False),
        ("nn.SiLU()", "", "u_x.sum()", False),
        ("nn.ReLU()", " * x", "u_x.sum()", False),
        ("nn.ReLU()", " * x", "u_t.sum()", False),
        ("nn.ReLU()", " + x ** 3", "u_x.sum()", False),
        ("nn.ReLU()", "", "(x * u_x).sum()", False),
        ("nn.Tanh()", ".abs()", "u_x.sum()", False),
    ],
)
def test_a_second_derivative(activation: str, more: str, slope: str, flat: bool) -> None:
    check = ZERO if flat else NOT_ZERO
    program = NET.format(activation=activation, more=more, slope=slope, check=check)
    exec("import torch\nfrom torch import nn\ntorch.manual_seed(1)\n" + program, {})
    found = [severity for severity, _ in reported("GRD108", program)]
    assert found == (["warning"] if flat else [])


def test_a_penalty_on_the_slope_is_differentiated_by_the_weights() -> None:
    snippet = """
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.rand(5, 2, requires_grad=True)
    slope = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
    penalty = (slope.norm(dim=1) - 1).pow(2).mean()
    gradient = torch.autograd.grad(penalty, net.parameters(), allow_unused=True)[0]
    """
    assert reported("GRD108", snippet) == []


SAMPLE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Linear(64, 6)
        self.stem = nn.Conv2d(1, 1, 1)
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        grid = F.affine_grid(self.place(x.flatten(1)).view(-1, 2, 3), x.size(), align_corners=False)
        x = {image}
        return self.head(F.grid_sample(x, grid, mode="{mode}", align_corners=False).flatten(1))

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.rand(4, 1, 8, 8)).mean().backward()
optimizer.step()
assert bool(net.place.weight.grad.any()) == {moves}
"""


@pytest.mark.parametrize(("image", "mode", "found"), [("x", "nearest", ["warning"]), ("x", "bilinear", [])])
def test_pixels_that_are_the_nearest(image: str, mode: str, found: list[str]) -> None:
    program = SAMPLE.format(image=image, mode=mode, moves=mode != "nearest")
    exec("import torch\nfrom torch import nn\nimport torch.nn.functional as F\n" + program, {})
    assert [severity for severity, _ in reported("GRD108", program)] == found


def test_numbers_times_an_option_of_the_program() -> None:
    snippet = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--coef", type=float, default=0.1)
    args = parser.parse_args()
    policy = nn.Linear(4, 3)
    p = policy(torch.randn(2, 4)).softmax(1)
    entropy = -(p * p.log()).sum(1).mean(){number}
    loss = F.mse_loss(p, torch.rand(2, 3)) - args.coef * entropy
    loss.backward()
    """
    assert [severity for severity, _ in reported("GRD104", snippet.format(number=".item()"))] == ["warning"]
    assert reported("GRD104", snippet.format(number="")) == []
