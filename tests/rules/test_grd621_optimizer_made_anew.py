"""Optimizers that each round of a loop makes anew, and those that are right to be new."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

TRAINING = """
class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

def epoch(model, loader, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **options)
    for x in loader:
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()

def once(optimizer):
    optimizer.zero_grad()
    net(torch.randn(8, 4)).pow(2).mean().backward()
    optimizer.step()

def empty(module):
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)

net, batches = nn.Linear(4, 1), [torch.randn(8, 4)] * 4
"""


@pytest.mark.parametrize(
    "snippet",
    [
        "for n, _ in enumerate(range(5)):\n    print(n)\n    epoch(net, batches, momentum=0.9)",
        "def fit(model, loader):\n    for n in range(9):\n        epoch(model, loader, momentum=0.9, nesterov=n > 3)",
        "for x in batches:\n    once(torch.optim.Adam(net.parameters()))",
        "for _ in range(5):\n    once(torch.optim.Adam(net.parameters()))",
        "for _ in range(5):\n    epoch(net, batches, momentum=0.9)",
        "for n in range(5):\n    once(torch.optim.Adam(net.parameters(), lr=0.1 / (n + 1)))",
        "while True:\n    once(torch.optim.RMSprop(net.parameters(), lr=0.1))",
        "for _ in range(5):\n    once(torch.optim.AdamW([net.weight, net.bias]))",
        "def fit(model, loader, epochs):\n    for _ in range(epochs):\n        epoch(model, loader, momentum=0.9)",
        "for _ in range(5):\n    once(Trainer(net).optimizer)",
    ],
)
def test_state_is_lost(snippet: str) -> None:
    assert [severity for severity, _ in reported("GRD621", TRAINING + snippet)] == ["information"]


@pytest.mark.parametrize(
    "snippet",
    [
        "optimizer = torch.optim.Adam(net.parameters())\nfor _ in range(5):\n    once(optimizer)",
        "for _ in range(5):\n    epoch(net, batches)",
        "for _ in range(5):\n    epoch(nn.Linear(4, 1), batches, momentum=0.9)",
        "for _ in range(5):\n    net.reset_parameters()\n    epoch(net, batches, momentum=0.9)",
        "for _ in range(5):\n    net.apply(empty)\n    epoch(net, batches, momentum=0.9)",
        "for n in range(3):\n    epoch(net, [batches, batches, batches][n], momentum=0.9)",
        "for n in range(3):\n    data = [batches, batches, batches][n]\n    epoch(net, data, momentum=0.9)",
        "for rate in (0.1, 0.01):\n    epoch(net, batches, momentum=0.9)",
        "for task in open('tasks'):\n    epoch(net, task, momentum=0.9)",
        "def fit(model, loaders):\n    for n, loader in enumerate(loaders):\n"
        "        epoch(model, loader, momentum=0.9)",
        "for m in (0.5, 0.9):\n    epoch(net, batches, momentum=m)",
        "for n in range(5):\n    net.bias.requires_grad_(n > 2)\n    epoch(net, batches, momentum=0.9)",
        "for n in range(9):\n    if n % 3 == 0:\n        optimizer = torch.optim.Adam(net.parameters())\n"
        "    once(optimizer)",
        "for task in (0, 1, 2):\n    optimizer = torch.optim.Adam(net.parameters())\n"
        "    for _ in range(3):\n        for _ in range(3):\n            once(optimizer)",
        "state = None\nfor _ in range(5):\n    optimizer = torch.optim.Adam(net.parameters())\n"
        "    if state is not None:\n        optimizer.load_state_dict(state)\n"
        "    once(optimizer)\n    state = optimizer.state_dict()",
        "for _ in range(5):\n    x = torch.zeros(4, requires_grad=True)\n    optimizer = torch.optim.Adam([x])\n"
        "    net(x).sum().backward()\n    optimizer.step()",
        "def fit(model, loader, reset):\n    for _ in range(5):\n        reset(model)\n"
        "        epoch(model, loader, momentum=0.9)",
        "def fit(model, loader):\n    for _ in range(5):\n        model.start_again()\n"
        "        epoch(model, loader, momentum=0.9)",
        "def fit(make, loader):\n    for _ in range(5):\n        epoch(make(), loader, momentum=0.9)",
        "def fit(models, loader):\n    for model in models:\n        epoch(model, loader, momentum=0.9)",
    ],
)
def test_right(snippet: str) -> None:
    assert reported("GRD621", TRAINING + snippet) == []
