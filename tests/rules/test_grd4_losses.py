"""Losses: what comes before them, and which shapes and types they get."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

SET_UP = """
net, x, y = nn.Linear(3, 4), torch.randn(8, 3), torch.randint(0, 4, (8,))
"""


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        ("F.cross_entropy(net(x).softmax(1), y)", ["warning"]),
        ("F.cross_entropy(torch.softmax(net(x), dim=1).view(-1, 4), y)", ["warning"]),
        ("nn.CrossEntropyLoss()(nn.Sequential(net, nn.Softmax(1))(x), y)", ["warning"]),
        ("F.cross_entropy(net(x).sigmoid(), y)", ["warning"]),
        ("F.cross_entropy(net(x).log_softmax(1), y)", ["information"]),
        ("F.binary_cross_entropy_with_logits(net(x).sigmoid(), torch.rand(8, 4))", ["warning"]),
        ("F.nll_loss(net(x), y)", ["warning"]),
        ("F.nll_loss(net(x).softmax(1), y)", ["warning"]),
        ("F.kl_div(net(x).softmax(1), torch.rand(8, 4))", ["warning"]),
        ("F.kl_div(net(x).log_softmax(1), x.log_softmax(1))", ["warning"]),
        ("F.binary_cross_entropy(net(x), torch.rand(8, 4))", ["warning"]),
        ("F.binary_cross_entropy(net(x).tanh(), torch.rand(8, 4))", ["warning"]),
        ("F.cross_entropy(net(x), y)", []),
        ("F.cross_entropy(10 * net(x).softmax(1), y)", []),
        ("F.nll_loss(net(x).log_softmax(1), y)", []),
        ("F.nll_loss(net(x).softmax(1).log(), y)", []),
        ("F.nll_loss(net(x).softmax(1) if input() else net(x).log_softmax(1), y)", []),
        ("F.binary_cross_entropy(net(x).sigmoid(), torch.rand(8, 4))", []),
        ("F.binary_cross_entropy(net(x).clamp(0, 1), torch.rand(8, 4))", []),
        ("F.binary_cross_entropy(F.linear(torch.rand(8, 3), torch.full((4, 3), 1 / 3)), torch.rand(8, 4))", []),
        ("F.kl_div(net(x).log_softmax(1), x.log_softmax(1), log_target=True)", []),
        ("F.cross_entropy(load(x), y)", []),
    ],
)
def test_activation_before_loss(loss: str, severity: list[str]) -> None:
    assert [found for found, _ in reported("GRD403", SET_UP + loss)] == severity


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        ("F.mse_loss(one(x), torch.rand(8))", ["warning"]),
        ("F.mse_loss(torch.rand(8), one(x))", ["warning"]),
        ("F.l1_loss(conv(torch.rand(2, 3, 6, 6)), torch.rand(2, 6, 6))", ["warning"]),
        ("F.binary_cross_entropy_with_logits(one(x), torch.rand(8))", ["error"]),
        ("F.cross_entropy(net(x), torch.randint(0, 4, (7,)))", ["error"]),
        ("(one(x) - torch.rand(8)).pow(2).mean().backward()", ["warning"]),
        ("F.mse_loss(one(x).squeeze(-1), torch.rand(8))", []),
        ("F.mse_loss(one(x), torch.rand(8, 1))", []),
        ("F.mse_loss(one(x), torch.zeros(1))", []),
        ("F.mse_loss(net(x), torch.rand(4))", []),
        ("F.mse_loss(one(x), load())", []),
        ("(one(x) - torch.rand(5)).pow(2).mean().backward()", []),
        ("(one(x)[:, 0, None] - torch.rand(8)).pow(2).mean().backward()", []),
        ("centers = nn.Parameter(torch.rand(8))\n(one(x) - centers).pow(2).mean().backward()", []),
    ],
)
def test_loss_sizes_differ(loss: str, severity: list[str]) -> None:
    layers = "one, conv = nn.Linear(3, 1), nn.Conv2d(3, 1, 3, padding=1)\n"
    assert [found for found, _ in reported("GRD404", SET_UP + layers + loss)] == severity


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("F.binary_cross_entropy_with_logits(net(x), torch.randint(0, 2, (8, 4)))", 1),
        ("F.binary_cross_entropy(net(x).sigmoid(), torch.rand(8, 4) > 0.5)", 1),
        ("F.nll_loss(net(x).log_softmax(1), y.float())", 1),
        ("F.cross_entropy(net(x), y.float())", 1),
        ("F.cross_entropy(net(x), y.unsqueeze(1))", 1),
        ("F.cross_entropy(net(x), F.one_hot(y, 4))", 1),
        ("F.cross_entropy(net(x), F.one_hot(y, 4).float())", 0),
        ("F.cross_entropy(net(x), torch.rand(8, 4))", 0),
        ("F.cross_entropy(net(x).view(2, 4, 4), torch.randint(0, 4, (2, 4)))", 0),
        ("F.binary_cross_entropy_with_logits(net(x), torch.randint(0, 2, (8, 4)).float())", 0),
        ("F.mse_loss(net(x), torch.randint(0, 2, (8, 4)))", 0),
        ("F.cross_entropy(net(x), load())", 0),
    ],
)
def test_target_type(loss: str, found: int) -> None:
    assert len(reported("GRD405", SET_UP + loss)) == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("nn.MSELoss(net(x), torch.rand(8, 4))", 1),
        ("nn.CrossEntropyLoss(net(x), y)", 1),
        ("loss = nn.MSELoss(load(), load())\nloss.backward()", 1),
        ("nn.CrossEntropyLoss(torch.ones(4))", 0),
        ("nn.CrossEntropyLoss(weight=torch.ones(4), reduction='sum')", 0),
        ("nn.MSELoss(load())", 0),
        ("nn.BCEWithLogitsLoss(pos_weight=torch.ones(4))(net(x), torch.rand(8, 4)).backward()", 0),
    ],
)
def test_criterion_called_like_function(statement: str, found: int) -> None:
    assert len(reported("GRD402", SET_UP + statement)) == found
