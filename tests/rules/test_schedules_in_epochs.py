"""Schedules that are planned in epochs and stepped for batches."""

from __future__ import annotations

import pytest

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
