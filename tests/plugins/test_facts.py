"""The fact API that docs/rules.md promises: what the page names is there, and happens when it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradls.plugin
from gradls.flow.analyze import analyze
from gradls.flow.facts import Facts
from gradls.plugin import Instance, Tensor, calls_of, constant, leaves
from gradls.syntax.source import Source

DOCS = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w-]+)` \|[^|]*\|[^|]*\|([^|]*)\|$", DOCS, re.MULTILINE)

PROGRAM = """\
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(F.dropout(x, p=0.3))

net = Net()
net.layer.bias.requires_grad = False
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
for x in torch.randn(8, 4, 3):
    optimizer.zero_grad()
    loss = F.mse_loss(net(x), torch.zeros(4, 1))
    loss.backward(retain_graph=True)
    torch.autograd.grad(loss, [net.layer.weight])
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    x.add_(1)
    net.last = loss.item()
    loss
"""


@pytest.fixture(scope="module")
def facts() -> Facts:
    return analyze(Source.read(PROGRAM, "program.py"))


def test_the_page_has_a_table():
    assert len(ROWS) > 12


@pytest.mark.parametrize(("kind", "besides"), ROWS, ids=[kind for kind, _ in ROWS])
def test_events_have_what_the_page_says(facts: Facts, kind: str, besides: str):
    events = list(facts.of(kind))
    assert events, "the program does not show it"
    for name in re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", besides)):
        assert name in events[0].info, name


def test_names_on_the_page_are_there(facts: Facts):
    for name in re.findall(r"`(?:gradls\.plugin\.)?(\w+)\(", DOCS):
        inside = hasattr(gradls.plugin, name) or hasattr(Facts, name) or hasattr(gradls.plugin.Rule, name)
        assert inside or name in ("item", "float", "zero_grad", "backward", "step"), name
    for name in gradls.plugin.__all__:
        assert hasattr(gradls.plugin, name)


def test_what_values_say(facts: Facts):
    (made,) = facts.of("optimizer-made")
    assert isinstance(made.value, Instance)
    assert made.value.path == "torch.optim.SGD"
    assert constant(made.call.get(1, "lr")) == 0.1
    assert constant(made.call.get(2, "momentum"), 0) == 0
    (backward, *_) = facts.of("backward")
    assert isinstance(backward.value, Tensor)
    weight, bias = made.parameters
    assert leaves(backward.node) == [weight]
    assert (weight.requires_grad, bias.requires_grad) == (True, False)
    assert weight in backward.reached


def test_calls_of_a_function_by_whatever_name(facts: Facts):
    (found, *_) = calls_of(facts, "torch.nn.functional.dropout")
    where, arguments, result = found
    assert where.span.line == 11
    assert constant(arguments.get(1, "p")) == 0.3
    assert isinstance(result, Tensor)
    assert facts.segment(where.node) == "F.dropout(x, p=0.3)"
