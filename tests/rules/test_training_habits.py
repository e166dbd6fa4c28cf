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
    assert len(reported("GRD620", LOOP.format(optimizer, textwrap.indent(body, "    ")))) == found


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
    assert len(reported("GRD711", LOOP.format("SGD", textwrap.indent(body, "    ")))) == found


def test_retained_through_all_rounds() -> None:
    snippet = """
    cell, state = nn.RNNCell(3, 4), torch.zeros(8, 4)
    for x in torch.randn(16, 8, 3):
        state = cell(x, state{})
        state.sum().backward(retain_graph=True)
    """
    assert len(reported("GRD711", snippet.format(""))) == 1
    assert len(reported("GRD711", snippet.format(".detach()"))) == 1


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("torch.save(best, 'best.pt')", 1),
        ("print(best['weight'].mean())", 1),
        ("print(len(data))", 0),
        ("other.load_state_dict(best)", 1),
    ],
)
def test_snapshot_that_is_none(use: str, found: int) -> None:
    snippet = """
    net, other = nn.Linear(3, 1), nn.Linear(3, 1)
    opt, data = torch.optim.SGD(net.parameters(), lr=0.1), torch.randn(9, 8, 3)
    for x in data:
        opt.zero_grad()
        net(x).pow(2).mean().backward()
        opt.step()
        if input():
            best = net.state_dict()
        torch.save(net.state_dict(), "last.pt")
    """
    assert len(reported("GRD708", snippet + use)) == found


GIVEN = """
def validate(net, loader):
    net.eval()
    with torch.no_grad():
        return [net(x) for x in loader]

def train(net, loader, opt, measure):
    {}
    for epoch in range(9):
        {}
        for x, y in loader:
            opt.zero_grad()
            measure(net(x), y).backward()
            opt.step()
        {}
"""


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (("net.train()", "pass", "validate(net, loader)"), 1),
        (("pass", "pass", "net.eval()"), 1),
        (("pass", "net.train()", "validate(net, loader)"), 0),
        (("pass", "pass", "validate(net, loader)\n        net.train(True)"), 0),
        (("pass", "pass", "helper.eval()"), 0),
        (("net.eval()", "pass", "validate(net, loader)"), 0),
    ],
)
def test_eval_mode_of_a_model_that_is_given(parts: tuple[str, str, str], found: int) -> None:
    assert len(reported("GRD705", GIVEN.format(*parts))) == found


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ("opt.zero_grad()\nopt.step", 1),
        ("net(loader)\nnet.eval", 1),
        ("net.eval", 0),
        ("it.step", 0),
    ],
)
def test_methods_of_what_is_given(statements: str, found: int) -> None:
    snippet = "def train(net, loader, opt, it):\n" + textwrap.indent(statements, "    ")
    assert len(reported("GRD604", snippet)) == found


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ("opt.lr = opt.lr * 0.9", 1),
        ("opt.learning_rate = 0.1", 1),
        ("opt.lr = 0.1\nfor g in opt.param_groups:\n    g['lr'] = opt.lr", 0),
        ("opt.name = 'mine'", 0),
    ],
)
def test_options_of_an_optimizer(statements: str, found: int) -> None:
    first = "opt = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)\n"
    assert len(reported("GRD503", first + statements)) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("opt.step()", 1),
        ("finish(loss)\nopt.step()", 0),
        ("finish(net)\nopt.step()", 0),
        ("loss.backward()\nopt.step()", 0),
    ],
)
def test_step_without_any_backward(body: str, found: int) -> None:
    assert len(reported("GRD611", LOOP.format("SGD", textwrap.indent(body, "    ")))) == found


def test_steps_for_the_sake_of_a_schedule() -> None:
    snippet = """
    opt = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)
    sched = torch.optim.lr_scheduler.StepLR(opt, 1)
    for _ in range(9):
        opt.step()
        sched.step()
    """
    assert reported("GRD611", snippet) == []


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("params = [w]", 1),
        ("opt = torch.optim.SGD([w], lr=0.1)", 1),
        ("params = []", 0),
    ],
)
def test_rebound_once(first: str, found: int) -> None:
    snippet = f"w = torch.ones(3, requires_grad=True)\n{first}\nw.sum().backward()\nw = w - 0.1 * w.grad"
    assert len(reported("GRD608", snippet)) == found


@pytest.mark.parametrize(
    ("zeros", "found"),
    [
        ("for p in net.parameters():\n    nn.init.zeros_(p)", 1),
        ("for layer in (net[0], net[2]):\n    nn.init.constant_(layer.weight, 0)\n    nn.init.zeros_(layer.bias)", 1),
        ("nn.init.zeros_(net[2].weight)\nnn.init.zeros_(net[2].bias)", 0),
        ("nn.init.zeros_(net[0].weight)\nnn.init.zeros_(net[2].weight)", 0),
        ("for p in net.parameters():\n    nn.init.zeros_(p)\nnn.init.normal_(net[0].weight)", 0),
        ("for p in net.parameters():\n    nn.init.zeros_(p)\nnet.load_state_dict(torch.load('it'))", 0),
    ],
)
def test_zero_layers(zeros: str, found: int) -> None:
    first = "net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))\n"
    assert len(reported("GRD521", f"{first}{zeros}\nnet(torch.randn(8, 3)).sum().backward()")) == found
