"""What is commonly not meant in training loops, and what looks like it and is meant."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import reported

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.state = torch.zeros(8, 4)

    def forward(self, x):
{}
"""


@pytest.mark.parametrize(
    ("body", "after", "found"),
    [
        ("self.kept = self.layer(x)\nreturn self.kept.relu()", "", 1),
        ("self.state = self.layer(x + self.state)\nreturn self.state", "", 1),
        ("h = self.layer(x)\nself.kept = h\nreturn h", "print(Net().kept.shape)", 1),
        ("self.state = self.layer(x + self.state.detach())\nreturn self.state", "", 0),
        ("h = self.layer(x)\nself.kept = h.detach()\nreturn h", "", 0),
        ("h = self.layer(x)\nself.kept = h.mean()\nreturn h", "loss = Net().kept * 2", 0),
        ("h = self.layer(x)\nself.kept = h.argmax(1)\nreturn h", "", 0),
        ("h = self.layer(x)\nself.kept = h.mean()\nreturn h", "loss = getattr(net, 'kept')", 0),
    ],
)
def test_graph_on_module(body: str, after: str, found: int) -> None:
    assert len(reported("GRD710", NET.format(textwrap.indent(body, " " * 8)) + after)) == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("h.detach()", ["warning"]),
        ("w.grad.clamp(-1, 1)", ["warning"]),
        ("h.masked_fill(h > 0, 0.0)", ["information"]),
        ("h.to('cuda')", ["information"]),
        ("h.detach_()", []),
        ("h = h.detach()", []),
        ("net.to('cuda')", []),
        ("net.weight.requires_grad_(False)", []),
        ("h.size(0)", []),
        ("with pytest.raises(RuntimeError):\n    h.view(7)", []),
    ],
)
def test_unused_result(statement: str, found: list[str]) -> None:
    first = "import pytest\nw = torch.ones(3, requires_grad=True)\nnet = nn.Linear(3, 1)\n"
    first += "h = torch.tanh(w)\n(w * 2).sum().backward()\n"
    assert [severity for severity, _ in reported("GRD619", first + statement)] == found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("float(loss)", 1),
        ("math.exp(loss)", 1),
        ("math.sqrt(loss.detach())", 0),
        ("int(loss)", 0),
        ("f'{loss}'", 0),
        ("float(loss.item())", 0),
    ],
)
def test_number_of_tensor_with_grad(expression: str, found: int) -> None:
    first = "import math\nloss = nn.Linear(3, 1)(torch.randn(8, 3)).mean()\n"
    assert len(reported("GRD319", first + expression)) == found


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("torch.randn(3, requires_grad=True) * 0.1", 1),
        ("0.1 * torch.randn(3, requires_grad=True)", 1),
        ("torch.randn(3, requires_grad=True).double()", 1),
        ("nn.Parameter(torch.randn(3)) / 10", 1),
        ("(torch.randn(3) * 0.1).requires_grad_()", 0),
        ("torch.randn(3, requires_grad=True)", 0),
        ("nn.Linear(3, 1)(torch.randn(3, requires_grad=True))", 0),
        ("raw.double()", 0),
    ],
)
def test_leaf_left_behind(made: str, found: int) -> None:
    snippet = f"raw = torch.randn(3, requires_grad=True)\nw = {made}\n(w * 2).sum().backward()"
    assert len(reported("GRD318", snippet)) == found


LOOP = """
net = nn.Linear(3, 1)
opt = torch.optim.{}(net.parameters(), lr=0.1)
opt.zero_grad()
for i, x in enumerate(torch.randn(16, 8, 3)):
    loss = net(x).pow(2).mean()
{}
"""
NOW_AND_THEN = "if (i + 1) % 4 == 0:\n    opt.step()\n    opt.zero_grad()"


@pytest.mark.parametrize(
    ("optimizer", "body", "found"),
    [
        ("SGD", f"loss.backward()\n{NOW_AND_THEN}", 1),
        ("SGD", f"(loss / 4).backward()\n{NOW_AND_THEN}", 0),
        ("SGD", f"loss = loss * 0.25\nloss.backward()\n{NOW_AND_THEN}", 0),
        ("SGD", f"net(x).sum().backward()\n{NOW_AND_THEN}", 0),
        ("Adam", f"loss.backward()\n{NOW_AND_THEN}", 0),
        ("SGD", f"loss.backward()\nif i == 3:\n    net.weight.grad /= 4\n{NOW_AND_THEN}", 0),
        ("SGD", "loss.backward()\nopt.step()\nopt.zero_grad()", 0),
        ("SGD", "opt.zero_grad()\nloss.backward()\nif loss < 5:\n    opt.step()", 0),
    ],
)
def test_undivided_accumulation(optimizer: str, body: str, found: int) -> None:
    assert len(reported("GRD618", LOOP.format(optimizer, textwrap.indent(body, "    ")))) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("loss.backward(retain_graph=True)\nopt.step()\nopt.zero_grad()", 1),
        ("loss.backward(retain_graph=True)\nloss.backward()", 0),
        ("loss.backward(retain_graph=True)\nrecord(loss)", 0),
        ("loss.backward(retain_graph=bool(i))", 0),
        ("loss.backward(retain_graph=True)\ng = torch.autograd.grad(loss, net.weight)", 0),
        ("loss.backward(create_graph=True, retain_graph=True)", 0),
    ],
)
def test_retained_for_nothing(body: str, found: int) -> None:
    assert len(reported("GRD712", LOOP.format("SGD", textwrap.indent(body, "    ")))) == found


def test_retained_through_all_rounds() -> None:
    snippet = """
    cell, state = nn.RNNCell(3, 4), torch.zeros(8, 4)
    for x in torch.randn(16, 8, 3):
        state = cell(x, state{})
        state.sum().backward(retain_graph=True)
    """
    assert "all rounds" in reported("GRD712", snippet.format(""))[0][1] or len(reported("GRD712", snippet.format("")))
    assert len(reported("GRD712", snippet.format(".detach()"))) == 1


@pytest.mark.parametrize(
    ("freeze", "found"),
    [
        ("body.requires_grad_(False)", 1),
        ("for p in body.parameters():\n    p.requires_grad = False", 1),
        ("body.requires_grad_(False).eval()", 0),
        ("body[0].requires_grad_(False)", 0),
        ("body.requires_grad_(False)\nbody.requires_grad_(True)", 0),
        ("body.requires_grad_(False)\nbody[1].weight.data.copy_(other)", 0),
    ],
)
def test_moving_statistics(freeze: str, found: int) -> None:
    snippet = f"body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))\n{freeze}\nbody(torch.randn(8, 3))"
    assert len(reported("GRD711", snippet)) == found
