"""Schedulers that go on where another optimizer has taken the place of theirs."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

STAGES = """
body, head = nn.Linear(3, 4), nn.Linear(4, 1)

def epoch(optimizer):
    for _ in range(2):
        optimizer.zero_grad()
        head(body(torch.randn(8, 3))).pow(2).mean().backward()
        optimizer.step()

optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
for _ in range(2):
    epoch(optimizer)
    scheduler.step()
{second}
for _ in range(2):
    epoch({steps})
    scheduler.step()
assert {follows}
"""
NEW = "other = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.01)"
APART = "other = torch.optim.SGD(body.parameters(), lr=0.01)"
AGAIN = NEW + "\nscheduler = torch.optim.lr_scheduler.ExponentialLR(other, gamma=0.5)"


@pytest.mark.parametrize(
    ("second", "steps", "follows", "found"),
    [
        (NEW, "other", "other.param_groups[0]['lr'] == 0.01", True),
        (AGAIN, "other", "other.param_groups[0]['lr'] < 0.01", False),
        (NEW, "optimizer", "optimizer.param_groups[0]['lr'] < 0.01", False),
        ("pass", "optimizer", "optimizer.param_groups[0]['lr'] < 0.01", False),
        (APART, "other", "other.param_groups[0]['lr'] == 0.01", False),
    ],
)
def test_a_second_stage(second: str, steps: str, follows: str, found: bool) -> None:
    program = STAGES.format(second=second, steps=steps, follows=follows)
    exec("import torch\nfrom torch import nn\n" + program, {})
    assert reported("GRD613", program) == ([("warning", "scheduler.step()")] if found else [])
