"""Terms that are cut off as a whole, and of which it is not known whether they had a gradient."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import reported

TRAINING = """
def train(model, criterion, optimizer, loader, args):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        output, other = model(x)
        first, second = criterion(output, y), {second}
        loss = {loss}
        loss.backward()
        optimizer.step()
"""
TRUTH = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x):
        return self.first(x), self.second(x)

class Args:
    weight = 0.5
{training}
model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
batches = [(torch.ones(2, 1), torch.zeros(2, 1))]
train(model, lambda one, two: (one - two).pow(2).mean(), optimizer, batches, Args())
assert (model.second.weight.grad is None) is {idle}
"""
SECOND = "(other - y).pow(2).mean()"


@pytest.mark.parametrize("second", [SECOND, "criterion(other, y)", "F.l1_loss(other, y)"])
@pytest.mark.parametrize(
    ("loss", "code", "blamed"),
    [
        ("first + second.item()", "GRD104", "second.item()"),
        ("first + args.weight * second.item()", "GRD104", "second.item()"),
        ("first + 0.5 * second.item()", "GRD104", "second.item()"),
        ("first + second.detach()", "GRD101", "second.detach()"),
        ("first - args.weight * second.detach()", "GRD101", "second.detach()"),
        ("first + args.weight * second", "GRD101", ""),
        ("first / first.item() + second", "GRD104", ""),
        ("first + second - second.detach()", "GRD101", ""),
        ("first * second.item() + second", "GRD104", ""),
    ],
)
def test_a_term_that_trains_nothing(second: str, loss: str, code: str, blamed: str) -> None:
    text = TRAINING.format(second=second, loss=loss)
    truth = TRUTH.format(training=text.replace("F.l1", "nn.functional.l1"), idle=bool(blamed))
    assert programs.check(truth).error is None
    assert reported(code, text) == ([("information", blamed)] if blamed else [])


@pytest.mark.parametrize(
    ("second", "loss"),
    [
        ("args.scale", "first + second.item()"),
        ("x.mean()", "first + second.item()"),
        ("teacher(x).mean()", "first + second.detach()"),
        ("criterion(other, y)", "first + scale(second.item())"),
    ],
)
def test_a_term_that_may_have_had_none(second: str, loss: str) -> None:
    text = TRAINING.format(second=second, loss=loss)
    assert reported("GRD101", text) == reported("GRD104", text) == []
