"""GRD210 about steps that the outer gradient misses, beyond its page."""

from __future__ import annotations

import pytest

from gradls.rules.grd210_written_behind_autograd import WrittenBehindAutograd
from gradls.testing import found_in

START = """
import torch
from torch.func import functional_call
net = torch.nn.Linear(3, 1)
w, x = torch.randn(3, requires_grad=True), torch.randn(3)
fast = w * 1
"""
GRADIENT = "(g,) = torch.autograd.grad((x * fast).sum().pow(2), fast, create_graph=True)\n"
OUTER = "\n(x * fast).sum().pow(2).backward()\n"

LEAF = GRADIENT.replace("fast", "w")
LAYER = "(g,) = torch.autograd.grad(net(x).pow(2).sum(), net.weight, create_graph=True)\n"
LAST = "\nnet(x).pow(2).sum().backward()\n"

META = """
def outer(tasks):
    for x, y in tasks:
        fast = {name: p.clone() for name, p in net.named_parameters()}
        for _ in range(3):
            loss = (functional_call(net, fast, (x,)) - y).pow(2).mean()
            grads = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            for p, g in zip(fast.values(), grads):
                p.data.sub_(0.1 * g)
        (functional_call(net, fast, (x,)) - y).pow(2).mean().backward()
"""


def found(body: str) -> list[str]:
    rule = WrittenBehindAutograd()
    return [finding.severity.value for finding in found_in(START + body, rule) if finding.code == rule.code]


@pytest.mark.parametrize(
    "body",
    [
        GRADIENT + "fast.data -= 0.1 * g.data" + OUTER,
        GRADIENT + "fast.data = fast.data - 0.1 * g" + OUTER,
        GRADIENT + "fast.data.add_(g.detach(), alpha=-0.1)" + OUTER,
        META,
        LEAF + "w.data.copy_(w - 0.1 * g)" + OUTER.replace("fast", "w"),
        LEAF + "w.data = w - 0.1 * g" + OUTER.replace("fast", "w"),
        LAYER + "net.load_state_dict({'weight': net.weight - 0.1 * g, 'bias': net.bias})" + LAST,
    ],
)
def test_found(body: str) -> None:
    assert found(body) == ["information"]


@pytest.mark.parametrize(
    "body",
    [
        GRADIENT + "fast = fast - 0.1 * g" + OUTER,
        GRADIENT.replace(", create_graph=True", "") + "fast.data -= 0.1 * g" + OUTER,
        "fast.data = torch.round(fast.data)" + OUTER,
        LAYER + "net.load_state_dict({'weight': (net.weight - 0.1 * g).detach(), 'bias': net.bias})" + LAST,
        LAYER + "net.load_state_dict(net.state_dict())" + LAST,
        GRADIENT + "g.pow(2).sum().backward(retain_graph=True)\nfast.data = fast.data - 0.1 * g.data" + OUTER,
        GRADIENT + "fast.data -= 0.1 * g.data\nprint(fast)",
        GRADIENT.replace("fast", "w") + "w.data -= 0.1 * g.data\n(x * w).sum().pow(2).backward()",
    ],
)
def test_silent(body: str) -> None:
    assert "information" not in found(body)
