"""The None of calls that return nothing: where its use raises, and where it does not."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

_HEAD = """
net = nn.Linear(3, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(2, 3)


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        x = self.layer(x)


def train(model):
    model(x).sum().backward()


"""

_OF_SILENT = ("warning", "x = self.layer(x)")
"""What is said of the class itself where nobody is told of its use."""


@pytest.mark.parametrize(
    ("snippet", "blamed"),
    [
        ("layers = []\nlayers = layers.append(net)\nnn.Sequential(*layers)", "layers.append(net)"),
        ("outs = []\nfor i in range(3):\n    outs = outs.append(x)", "outs.append(x)"),
        ("torch.stack([x].append(x))", "[x].append(x)"),
        ("outs = [x].extend([x])\nfor out in outs:\n    pass", "[x].extend([x])"),
        ("opt = opt.zero_grad()\nopt.step()", "opt.zero_grad()"),
        ("loss = net(x).sum().backward()\nprint(loss.item())", "net(x).sum().backward()"),
        ("total = 0.0\ntotal += net(x).sum().backward()", "net(x).sum().backward()"),
        ("Silent()(x).sum()", "Silent()(x)"),
        ("out = Silent()(x)\nloss = F.mse_loss(out, x)", "Silent()(x)"),
        ("out = net(Silent()(x))", "Silent()(x)"),
        ("a, b = Silent()(x)", "Silent()(x)"),
        ("model = train(net)\nmodel(x)", "train(net)"),
        ("model = train(net)\nmodel.eval()", "train(net)"),
        ("loss = train(net) + 1", "train(net)"),
        ("net = net.load_state_dict(given)\nnet(x)", "net.load_state_dict(given)"),
        ("net = net.load_state_dict({})\nnet.eval()", "net.load_state_dict({})"),
    ],
)
def test_used(snippet: str, blamed: str) -> None:
    assert [finding for finding in reported("GRD615", _HEAD + snippet) if finding != _OF_SILENT] == [("error", blamed)]


@pytest.mark.parametrize(
    "snippet",
    [
        "result = train(net)\nprint(result)",
        "result = train(net)\nif result is not None:\n    result.item()",
        "result = train(net)\nif result:\n    result.item()",
        "layers = nn.ModuleList()\nlayers = layers.append(net)\nlayers[0](x)",
        "net = net.eval().requires_grad_(False).train()\nnet(x)",
        "loss = opt.step(lambda: net(x).sum())\nloss.item()",
        "keys = net.load_state_dict({}, strict=False)\nprint(keys.missing_keys, keys.unexpected_keys)",
        "missing, unexpected = net.load_state_dict({}, strict=False)",
        "try:\n    train(net).item()\nexcept AttributeError:\n    pass",
        "class Base(nn.Module):\n    def loss(self, x):\n        pass\n"
        "    def forward(self, x):\n        return self.loss(x).sum()",
        "class Base(nn.Module):\n    def prepare(self, x):\n        self.x = x\n"
        "    def forward(self, x):\n        return self.prepare(x).sum()",
        "def gen():\n    for i in range(3):\n        yield net(x)\nfor out in gen():\n    out.sum()",
        "def f(flag):\n    if flag:\n        return x\nf(unknown).sum()",
        "weight = nn.init.zeros_(net.weight)\nweight.sum()",
        "text = '%s' % train(net)",
        "train(net) == None",
    ],
)
def test_not_used(snippet: str) -> None:
    assert reported("GRD615", _HEAD + snippet) == [_OF_SILENT]
