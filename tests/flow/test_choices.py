"""What is one of several things, by branch or as an element of a list."""

from __future__ import annotations

from tests.rules.reported import check_right, reported

FROZEN = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 1))
for parameter in model.parameters():
    parameter.requires_grad = False
"""
TRAINED = """
loss = model(torch.randn(2, 10)).sum()
loss.backward()
"""


def test_one_of_several_modules_is_thawed() -> None:
    def targets(wanted: str) -> str:
        return f"""
def targets(model, names):
    for name, module in model.named_modules():
        if name in names:
            yield name, module

for name, module in list(targets(model, {wanted})):
    {{}}
"""

    by_assignment = targets("__import__('sys').argv[9:] + ['2']").format("module.weight.requires_grad = True")
    check_right(f"{FROZEN}{by_assignment}{TRAINED}")
    nothing_thawed = by_assignment.replace("True", "False")
    assert [severity for severity, _ in reported("GRD110", f"{FROZEN}{nothing_thawed}{TRAINED}")] == ["error"]


def test_an_attribute_of_one_of_two() -> None:
    check_right(
        FROZEN
        + """
import sys
kept = model[0] if len(sys.argv) > 9 else model[2]
kept.weight = nn.Parameter(torch.ones_like(kept.weight))
"""
        + TRAINED
    )
