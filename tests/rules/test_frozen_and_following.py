"""Parameters that are frozen, and such as follow others."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

GROUPS = """
table = nn.Embedding.from_pretrained(torch.randn(9, 3)%s)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD([{"params": table.parameters(), "lr": 0.01}, {"params": model.parameters()}], lr=0.1)
"""
PLAIN = """
model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
for parameter in model[0].parameters():
    parameter.requires_grad = False
optimizer = torch.optim.SGD(%s, lr=0.1)
%s
"""
SPLIT = '[{"params": model[0].parameters()}, {"params": model[1].parameters()}]'
FOLLOW = """
import copy

net = nn.Linear(3, 3)
average = copy.deepcopy(net)
optimizer = torch.optim.SGD(%s, lr=0.1)
for x in torch.randn(4, 8, 3):
    with torch.set_grad_enabled(%s):
        wanted = average(x)
    optimizer.zero_grad()
    (net(x + 0.1) - wanted).pow(2).mean().backward()
    optimizer.step()
    for mean, own in zip(average.parameters(), net.parameters()):
        %s
"""
BOTH = "[*net.parameters(), *average.parameters()]"


@pytest.mark.parametrize(
    ("code", "snippet"),
    [
        ("GRD505", GROUPS % ""),
        ("GRD505", GROUPS % ", True, padding_idx=0"),
        ("GRD505", PLAIN % (SPLIT, "")),
        ("GRD126", FOLLOW % (BOTH, "True", "mean.data = 0.9 * mean.data + 0.1 * own.data")),
        ("GRD126", FOLLOW % (BOTH, "True", "mean.data.mul_(0.9).add_(own.data, alpha=0.1)")),
        ("GRD126", FOLLOW % (BOTH, "True", "mean.data.copy_(0.9 * mean.data + 0.1 * own.data)")),
    ],
)
def test_is_told(code: str, snippet: str) -> None:
    assert [severity for severity, _ in reported(code, snippet)] == ["information"]


@pytest.mark.parametrize(
    ("code", "snippet"),
    [
        ("GRD505", GROUPS % ", freeze=False"),
        ("GRD505", GROUPS % ", freeze=unknown"),
        ("GRD505", GROUPS % "" + "table.weight.requires_grad = True\n"),
        ("GRD505", GROUPS % "" + "unknown(table)\n"),
        ("GRD505", PLAIN % (SPLIT, "model.requires_grad_(True)")),
        ("GRD505", PLAIN % ("model.parameters()", "")),
        ("GRD505", PLAIN % ('[{"params": model.parameters()}]', "")),
        ("GRD126", FOLLOW % (BOTH, "False", "mean.data = 0.9 * mean.data + 0.1 * own.data")),
        ("GRD126", FOLLOW % ("net.parameters()", "True", "mean.data = 0.9 * mean.data + 0.1 * own.data")),
        ("GRD126", FOLLOW % (BOTH, "True", "mean.data = mean.data * 0.9")),
        ("GRD126", FOLLOW % (BOTH, "True", "mean.data.copy_(own.data)")),
    ],
)
def test_is_silent(code: str, snippet: str) -> None:
    assert reported(code, snippet) == []
