"""GRD528: tensors that modules keep like weights."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

LAYER = """
class Layer(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        {init}

    {methods}

    def forward(self, x):
        return {forward}

{after}
"""


def found(init: str, forward: str, methods: str = "", after: str = "") -> list[str]:
    program = LAYER.format(init=init, forward=forward, methods=methods, after=after)
    return [blamed for _, blamed in reported("GRD528", program)]


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        ("self.w = torch.ones(size)", "self.layer(x) * self.w"),
        ("self.w = torch.zeros(3)", "self.w + x"),
        ("self.w = torch.empty(3, 3)\n        nn.init.normal_(self.w)", "F.linear(x, self.w)"),
        ("self.w = torch.FloatTensor(3, 3)\n        self.reset()", "x @ self.w"),
        ("self.w = torch.zeros(3, 3)\n        nn.init.ones_(self.w)", "x @ self.w"),
        ("self.w = torch.Tensor(3)", "self.layer(x) - self.w"),
    ],
)
def test_found(init: str, forward: str) -> None:
    reset = "def reset(self):\n        nn.init.xavier_uniform_(self.w)"
    assert found(init, forward, reset if "reset" in init else "") == ["self.w"]


@pytest.mark.parametrize(
    ("init", "forward", "methods", "after"),
    [
        ("self.w = nn.Parameter(torch.ones(3))", "x * self.w", "", ""),
        ("self.register_buffer('w', torch.ones(3))", "x * self.w", "", ""),
        ("self.w = torch.ones(3)", "x @ self.w", "", ""),
        ("self.w = torch.ones(3)", "x / self.w", "", ""),
        ("self.w = torch.zeros(3)", "x * self.w", "", ""),
        ("self.w = torch.zeros(1, 3)", "torch.cat([x, self.w])", "", ""),
        ("self.w = torch.zeros(3)", "self.layer(x)", "", ""),
        ("self.w = torch.ones(3)\n        self.w[0] = 0", "x * self.w", "", ""),
        ("self.w = torch.ones(3)", "x * self.w", "def drop(self):\n        self.w[0] = 0", ""),
        ("self.w = torch.ones(3)", "x * self.w", "def drop(self):\n        self.w.mul_(0.5)", ""),
        ("self.w = torch.ones(3)", "x * self.w", "def drop(self):\n        self.w = torch.zeros(3)", ""),
        ("self.w = torch.ones(3)", "x * self.w", "", "layer = Layer(3)\nlayer.w = torch.zeros(3)"),
        ("self.w = torch.ones(3)", "x * self.w", "", "layer = Layer(3)\nlayer.w.data.fill_(2)"),
        ("self.w = torch.empty(3)\n        self.w = nn.Parameter(self.w)", "x * self.w", "", ""),
        ("self.w = torch.FloatTensor([1.0, 2.0, 3.0])", "x * self.w", "", ""),
        ("self.w = torch.empty(3)\n        self.w.uniform_(0, 1)", "x * self.w", "", ""),
    ],
)
def test_silent(init: str, forward: str, methods: str, after: str) -> None:
    assert found(init, forward, methods, after) == []
