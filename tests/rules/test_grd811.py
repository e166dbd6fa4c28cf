"""GRD811 beyond its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.workspace.session import Session

HELPER = """
import torch


def run(net, x):
    y = net(x)
    {call}
    return y
"""
MAIN = """
import torch
from torch import nn

from helper import run


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x)

    def backward(self, gradient):
        self.layer.weight.grad = gradient.expand(3, 3).clone()


net = Net()
loss = net(torch.randn(2, 3)).sum()
run(net, torch.randn(2, 3))
loss.backward()
"""


@pytest.mark.parametrize(("call", "codes"), [("net.backward(torch.ones(3))", []), ("pass", ["GRD811"])])
def test_a_backward_that_another_file_calls(tmp_path: Path, call: str, codes: list[str]) -> None:
    (tmp_path / "helper.py").write_text(HELPER.format(call=call))
    main, session = str(tmp_path / "main.py"), Session(tmp_path)
    session.open(main, MAIN)
    assert [finding.code for finding in session.findings(main)] == codes
