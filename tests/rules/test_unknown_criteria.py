"""Training functions that are given the model and the criterion: nothing reaches the model."""

from __future__ import annotations

import textwrap

import pytest
import torch

from tests.rules.reported import IMPORTS, reported

LOOP = """
def train(model, criterion, optimizer, loader, head=None):
    {before}
    for x, y in loader:
        optimizer.zero_grad()
        {forward}
        loss = {loss}
        loss.backward()
        optimizer.step()
"""
CUT = [
    ("GRD101", "model(x).detach()", "out = model(x).detach()"),
    ("GRD101", "model(x).data", "out = model(x).data.view(4, 3)"),
    ("GRD106", "torch.no_grad()", "with torch.no_grad():\n            out = model(x)"),
    ("GRD107", "model(x).argmax(dim=1)", "out = model(x).argmax(dim=1).unsqueeze(1).repeat(1, 3)"),
]


@pytest.mark.parametrize(("rule", "blamed", "forward"), CUT)
@pytest.mark.parametrize("before", ["model.train()", "model.zero_grad()"])
def test_cut_before_the_criterion(rule: str, blamed: str, forward: str, before: str) -> None:
    program = LOOP.format(before=before, forward=forward, loss="criterion(out, y)")
    scope: dict[str, object] = {}
    exec(compile(textwrap.dedent(IMPORTS) + program, "train.py", "exec"), scope)
    model = torch.nn.Linear(3, 3)
    given = model, torch.nn.L1Loss(), torch.optim.SGD(model.parameters(), 0.1), [(torch.ones(4, 3), torch.zeros(4, 3))]
    with pytest.raises(RuntimeError, match="does not require grad"):
        scope["train"](*given)  # type: ignore[operator]
    assert reported(rule, program) == [("information", blamed)]


@pytest.mark.parametrize("loss", ["criterion(out, y)", "F.mse_loss(out, y)", "criterion(out.view(-1), y) * 2"])
def test_a_gradient_of_zero(loss: str) -> None:
    program = LOOP.format(before="model.train()", forward="out = model(x).round()", loss=loss)
    assert reported("GRD108", program) == [("information", "model(x).round()")]


@pytest.mark.parametrize(
    ("before", "forward", "loss"),
    [
        ("model.eval()", "out = model(x).detach()", "criterion(out, y)"),
        ("pass", "out = model(x).detach()", "criterion(out, y)"),
        ("model.train()", "x = x.data\n        out = model(x)", "criterion(out, y.data)"),
        ("model.train()", "out = model(x.data)\n        seen = out.data", "criterion(out, y)"),
        ("model.train()\n    criterion.train()", "out = model(x).detach()", "criterion(out, y)"),
        ("model.train()", "out = model(x).detach()", "criterion(head(out), y)"),
        ("model.train()", "out = model(x).detach()", "criterion(out, model(y))"),
        ("model.train()", "out = model(x).detach()", "criterion(model(x), y) + criterion(out, y)"),
        ("model.train()", "out = model(x).detach()", "criterion(out, y) + model.penalty()"),
        ("model.train()", "out = model(x).detach()", "criterion(out * model.scale, y)"),
        ("model.train()", "out = model(x)\n        out = out + (out.round() - out).detach()", "criterion(out, y)"),
        ("model.train()", "out = model(x)\n        y = out.round()", "criterion(out, y)"),
    ],
)
def test_something_may_be_trained(before: str, forward: str, loss: str) -> None:
    program = LOOP.format(before=before, forward=forward, loss=loss)
    assert [found for rule in ("GRD101", "GRD106", "GRD107", "GRD108") for found in reported(rule, program)] == []
