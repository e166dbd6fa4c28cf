"""Schedules that are planned in epochs and stepped for batches."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import reported

LOOP = """
def train(model, loader, args, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.{schedule}
    for epoch in {rounds}:
        for x, y in loader:
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            {inner}
        {outer}
"""
STEP = "scheduler.step()"


@pytest.mark.parametrize(
    ("schedule", "rounds", "inner", "outer", "found"),
    [
        ("CosineAnnealingLR(optimizer, T_max=epochs)", "range(epochs)", STEP, "pass", True),
        ("CosineAnnealingLR(optimizer, args.epochs)", "range(args.epochs)", STEP, "pass", True),
        ("CosineAnnealingLR(optimizer, args.epochs)", "range(1, args.epochs)", STEP, "pass", True),
        ("StepLR(optimizer, step_size=epochs // 2)", "range(epochs)", STEP, "pass", True),
        ("CosineAnnealingLR(optimizer, T_max=epochs)", "range(epochs)", "pass", STEP, False),
        ("CosineAnnealingLR(optimizer, T_max=epochs * len(loader))", "range(epochs)", STEP, "pass", False),
        ("CosineAnnealingLR(optimizer, T_max=args.steps)", "range(epochs)", STEP, "pass", False),
        ("CosineAnnealingLR(optimizer, T_max=epochs)", "range(epochs)", "if y.any(): scheduler.step()", "pass", False),
        ("ExponentialLR(optimizer, 0.9)", "range(epochs)", STEP, "pass", False),
    ],
)
def test_a_schedule(schedule: str, rounds: str, inner: str, outer: str, found: bool) -> None:
    snippet = LOOP.format(schedule=schedule, rounds=rounds, inner=inner, outer=outer)
    assert reported("GRD619", snippet) == ([("information", STEP)] if found else [])


UPDATES = """
def train(model, loader, epochs=2, every=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    updates = {updates}
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max={length})
    rates = []
    for epoch in range(epochs):
        for number, x in enumerate(loader):
            (model(x).pow(2).mean() / every).backward()
            if {condition}:
                optimizer.step()
                optimizer.zero_grad()
                {inner}
            {outer}
            rates.append(optimizer.param_groups[0]["lr"])
    return rates


rates = train(nn.Linear(3, 1), [torch.randn(4, 3) for _ in range(16)])
assert (rates == sorted(rates, reverse=True)) is {falls}
"""
WHOLE, PARTS = "epochs * len(loader)", "epochs * len(loader) // every"
FOURTH = "(number + 1) % every == 0"


@pytest.mark.parametrize(
    ("updates", "length", "condition", "inner", "outer", "falls", "found"),
    [
        (PARTS, "updates", FOURTH, "pass", STEP, False, [STEP]),
        ("0", PARTS, FOURTH, "pass", STEP, False, [STEP]),
        ("int(epochs * len(loader) / every)", "updates", FOURTH, "pass", STEP, False, [STEP]),
        (PARTS, "updates", FOURTH, STEP, "pass", True, []),
        (WHOLE, "updates", FOURTH, "pass", STEP, True, []),
        # Each of the two has a condition of its own.
        (PARTS, "updates", FOURTH, "pass", f"if {FOURTH}:\n                {STEP}", True, []),
        (PARTS, "updates", "True", "pass", STEP, False, []),
    ],
)
def test_a_schedule_in_steps_of_the_optimizer(
    updates: str, length: str, condition: str, inner: str, outer: str, falls: bool, found: list[str]
) -> None:
    snippet = UPDATES.format(updates=updates, length=length, condition=condition, inner=inner, outer=outer, falls=falls)
    assert programs.check("import torch\nfrom torch import nn\n" + snippet).error is None
    assert [text for _, text in reported("GRD619", snippet)] == found
