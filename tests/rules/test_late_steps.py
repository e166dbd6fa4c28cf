"""Steps behind the loop that clears their gradients, with an optimizer that is given."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import reported

TRAINING = """
def train(model, optimizer, loader, other):
    {first}
    for x in loader:
        {clear}
        model(x).mean().backward()
        {inside}
    {behind}
"""
TRUTH = """
import torch
from torch import nn
{training}
model, other = nn.Linear(1, 1), nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
start = model.weight.detach().clone()
train(model, optimizer, [torch.tensor([[1.0]]), torch.tensor([[2.0]])], other)
assert (start - model.weight).item() == {moved}
"""


@pytest.mark.parametrize(
    ("first", "clear", "inside", "behind", "moved"),
    [
        ("pass", "optimizer.zero_grad()", "pass", "optimizer.step()", 2),  # of the last batch alone
        ("optimizer.zero_grad()", "pass", "pass", "optimizer.step()", 3),
        ("pass", "optimizer.zero_grad()", "optimizer.step()", "pass", 3),
        ("pass", "other.zero_grad()", "pass", "optimizer.step()", 3),
    ],
)
def test_what_is_left_of_the_rounds(first: str, clear: str, inside: str, behind: str, moved: int) -> None:
    text = TRAINING.format(first=first, clear=clear, inside=inside, behind=behind)
    assert programs.check(TRUTH.format(training=text, moved=moved)).error is None
    found = [("information", "optimizer.zero_grad()")] if moved == 2 else []
    assert reported("GRD602", text) == found


@pytest.mark.parametrize(
    ("first", "clear", "inside", "behind"),
    [
        ("pass", "optimizer.zero_grad()", "update(optimizer)", "optimizer.step()"),
        ("pass", "optimizer.zero_grad()", "if x.done: break", "optimizer.step()"),
        ("pass", "optimizer.zero_grad()", "seen = [p.grad.norm() for p in model.parameters()]", "optimizer.step()"),
        ("pass", "if x.first: optimizer.zero_grad()", "pass", "optimizer.step()"),
        ("pass", "optimizer.zero_grad()", "pass", "if other: optimizer.step()"),
        ("pass", "optimizer.zero_grad()", "optimizer.step()", "optimizer.step()"),
    ],
)
def test_what_may_be_meant(first: str, clear: str, inside: str, behind: str) -> None:
    assert reported("GRD602", TRAINING.format(first=first, clear=clear, inside=inside, behind=behind)) == []
