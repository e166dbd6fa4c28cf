"""What programs put into the batches of a loader: each program is run on PyTorch, too."""

from __future__ import annotations

import sys
import textwrap
import types

import pytest
import torch
from torch import nn

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from elsewhere import fills, held, make, switch

net = nn.Linear(3, 3)
w = torch.ones(3, requires_grad=True)
"""
DICTIONARIES = "for batch in DataLoader(make(dict), batch_size=2):\n"
TUPLES = "for x, y in DataLoader(make(tuple), batch_size=2):\n"
RIGHT = {
    "an item with a name": (
        DICTIONARIES,
        'batch["out"] = net(batch["x"])\nloss = F.mse_loss(batch["out"], batch["y"])',
    ),
    "the item that it was computed from": (DICTIONARIES, 'batch["x"] = net(batch["x"])\nloss = batch["x"].sum()'),
    "items of which the names come from a list": (
        DICTIONARIES,
        'for name in ["x", "y"]:\n    batch[name] = net(batch[name])\nloss = batch["x"].sum()',
    ),
    "all items": (
        DICTIONARIES,
        "for name in list(batch):\n    batch[name] = net(batch[name])\n"
        "loss = torch.stack([value.sum() for value in batch.values()]).sum()",
    ),
    "an item that one branch puts in": (
        DICTIONARIES,
        'if switch:\n    batch["x"] = net(batch["x"])\nloss = batch["x"].sum()',
    ),
    "with update()": (DICTIONARIES, 'batch.update(out=net(batch["x"]))\nloss = batch["out"].sum()'),
    "with update() of a dictionary": (DICTIONARIES, 'batch.update({"x": net(batch["x"])})\nloss = batch["x"].sum()'),
    "with setdefault()": (DICTIONARIES, 'batch.setdefault("out", net(batch["x"]))\nloss = batch["out"].sum()'),
    "code that is not known puts it in": (DICTIONARIES, 'fills(batch, net)\nloss = batch["out"].sum()'),
    "what a method gives while gradients are off": (
        TUPLES,
        'with torch.no_grad():\n    part = held.get_parameter("weight")\nloss = F.mse_loss(part, torch.zeros(3, 3))',
    ),
    "an element of a tensor": (TUPLES, "x[0] = net(y)[0]\nloss = x.sum()"),
    "elements by a mask": (TUPLES, "x[y > 0] = w.sum()\nloss = x.sum()"),
    "a column": (TUPLES, "x[:, 0] = net(y)[:, 0]\nloss = x.sum()"),
    "with a method in place": (TUPLES, "x.add_(w)\nloss = x.sum()"),
    "with two methods in place": (TUPLES, "x.mul_(2).add_(w)\nloss = x.sum()"),
    "through a view": (TUPLES, "row = x[0]\nrow.add_(w)\nloss = x.sum()"),
    "through another view": (TUPLES, "x.view(2, 3)[1].add_(w)\nloss = x.sum()"),
}
WRONG = {
    "nothing": (DICTIONARIES, 'loss = F.mse_loss(batch["x"], batch["y"])'),
    "what was cut off": (
        DICTIONARIES,
        'batch["out"] = net(batch["x"]).detach()\nloss = F.mse_loss(batch["out"], batch["y"])',
    ),
    "a number": (TUPLES, "x[0] = 3\nloss = F.mse_loss(x, y)"),
    "another tensor without a gradient": (TUPLES, "x.add_(y)\nloss = F.mse_loss(x, y)"),
    "in place while gradients are off": (TUPLES, "with torch.no_grad():\n    x.add_(w)\nloss = F.mse_loss(x, y)"),
}


def _program(head: str, body: str) -> str:
    return HEAD + head + textwrap.indent(f"{body}\nloss.backward()\n", "    ")


def _run(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = types.ModuleType("elsewhere")

    def make(kind: type) -> list[object]:
        rows = [(torch.ones(3), torch.ones(3)) for _ in range(2)]
        return [dict(zip("xy", row, strict=True)) for row in rows] if kind is dict else list(rows)

    def fills(batch: dict[str, torch.Tensor], net: nn.Module) -> None:
        batch["out"] = net(batch["x"])

    elsewhere.held = nn.Linear(3, 3)  # type: ignore[attr-defined]
    elsewhere.make, elsewhere.fills, elsewhere.switch = make, fills, True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "elsewhere", elsewhere)
    exec(compile(text, "program", "exec"), {})


def _codes(text: str) -> set[str]:
    return {finding.code for finding in findings(analyze(Source.read(text)))}


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_put_in_may_require_grad(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _program(*RIGHT[name])
    _run(text, monkeypatch)
    assert not _codes(text) & {"GRD101", "GRD106", "GRD110"}
    last = {state.node: state for state in analyze(Source.read(text)).states}
    said = {getattr(node, "id", ""): state.requires_grad for node, state in last.items()}
    assert said.get("loss") is not False


@pytest.mark.parametrize("name", WRONG)
def test_data_stays_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _program(*WRONG[name])
    with pytest.raises(RuntimeError, match="does not require grad"):
        _run(text, monkeypatch)
    assert _codes(text) & {"GRD101", "GRD106", "GRD110"}
