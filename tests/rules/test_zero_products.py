"""Parameters of zeros that are multiplied with each other."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

LOW_RANK = """
class LowRank(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.down = nn.Parameter({down})
        self.up = nn.Parameter({up})
        {then}

    def forward(self, x):
        return self.base(x) + {update}


net = nn.Sequential(LowRank(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    ({loss}).backward()
    optimizer.step()
"""
ZEROS = {"down": "torch.zeros(2, 3)", "up": "torch.zeros(4, 2)"}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, 1),
        ({"update": "0.5 * F.linear(F.linear(x, self.down), self.up)"}, 1),
        ({"down": "torch.empty(2, 3)", "then": "nn.init.zeros_(self.down)"}, 1),
        ({"update": "(x @ self.down.T) @ self.up.T + self.down.sum()"}, 0),
        ({"down": "torch.randn(2, 3)"}, 0),
        ({"then": "nn.init.kaiming_uniform_(self.down)"}, 0),
        ({"then": "self.reset()"}, 0),
        ({"update": "(x @ (self.down + 1).T) @ self.up.T"}, 0),
        ({"update": "(x @ self.down.T).exp() @ self.up.T"}, 0),
        ({"loss": "net(torch.randn(5, 3)).mean() + net[0].up.sum()"}, 0),
    ],
)
def test_both_zero(changed: dict[str, str], found: int) -> None:
    parts = {
        **ZEROS,
        "then": "pass",
        "update": "(x @ self.down.T) @ self.up.T",
        "loss": "net(torch.randn(5, 3)).mean()",
    }
    snippet = LOW_RANK.format(**parts | changed)
    if "reset" in changed.get("then", ""):
        snippet = snippet.replace(
            "    def forward", "    def reset(self):\n        self.down.data.normal_()\n\n    def forward"
        )
    assert [severity for severity, _ in reported("GRD521", snippet)] == ["warning"] * found
