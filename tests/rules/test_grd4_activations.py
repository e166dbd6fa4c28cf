"""What a loss gets: activations before it, and the dimension of a softmax."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

_LABELS = "labels = torch.randint(0, 3, (8,))\nx = torch.randn(8, 4)\n"


@pytest.mark.parametrize(
    ("layers", "loss", "severity"),
    [
        ("nn.Linear(4, 3), nn.ReLU()", "F.nll_loss(net(x), labels)", "warning"),
        ("nn.Linear(4, 3), nn.ReLU()", "nn.CrossEntropyLoss()(net(x), labels)", "information"),
        ("nn.Linear(4, 1), nn.ReLU()", "F.binary_cross_entropy_with_logits(net(x), torch.ones(8, 1))", "warning"),
        ("nn.Linear(4, 1), nn.Tanh()", "nn.BCEWithLogitsLoss()(net(x), torch.ones(8, 1))", "information"),
        ("nn.Linear(4, 1), nn.ReLU()", "nn.BCELoss()(net(x), torch.ones(8, 1))", "warning"),
        ("nn.Linear(4, 3)", "F.kl_div(net(x).log_softmax(1), net(x).detach())", "warning"),
        ("nn.Linear(4, 3)", "F.kl_div(net(x).log_softmax(1), net(x).softmax(1).detach(), log_target=True)", "warning"),
    ],
)
def test_activation(layers: str, loss: str, severity: str) -> None:
    snippet = f"{_LABELS}net = nn.Sequential({layers})\n{loss}.backward()\n"
    assert reported("GRD403", snippet) == [(severity, loss)]


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ("nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)", "F.cross_entropy(net(x), labels)"),
        ("nn.Linear(4, 1), nn.ReLU()", "F.mse_loss(net(x), torch.ones(8, 1))"),
        ("nn.Linear(4, 3)", "F.kl_div(net(x).log_softmax(1), net(x).log_softmax(1).detach(), log_target=True)"),
        ("nn.Linear(4, 3)", "F.kl_div(net(x).log_softmax(1), net(x).detach().softmax(1), log_target=flag)"),
        ("nn.Linear(4, 3)", "F.kl_div(net(x).log_softmax(1), torch.rand(8, 3))"),
        ("nn.Linear(4, 3), nn.Hardtanh(0, 1)", "F.binary_cross_entropy(net(x), torch.ones(8, 3))"),
    ],
)
def test_fitting_activation(layers: str, loss: str) -> None:
    assert reported("GRD403", f"{_LABELS}net = nn.Sequential({layers})\n{loss}.backward()\n") == []


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("F.nll_loss(net(x).log_softmax(0), labels)", [("warning", "net(x).log_softmax(0)")]),
        ("F.nll_loss(F.log_softmax(net(y), dim=0), given)", [("information", "F.log_softmax(net(y), dim=0)")]),
        ("F.nll_loss(F.log_softmax(net(y), dim=2), given)", [("warning", "F.log_softmax(net(y), dim=2)")]),
        ("F.nll_loss(torch.log(net(x).softmax(dim=0)), labels)", [("warning", "net(x).softmax(dim=0)")]),
        ("nn.NLLLoss()(nn.Sequential(net, nn.LogSoftmax(0))(x), labels)", [("warning", "nn.LogSoftmax(0)")]),
        ("F.nll_loss(net(x).log_softmax(-1), labels)", []),
        ("F.nll_loss(net(x)[0].log_softmax(0), labels[0])", []),
        ("F.nll_loss(net(y).log_softmax(-1), given)", []),
        ("F.nll_loss(net(x).t().log_softmax(0).t(), labels)", []),
        ("F.mse_loss(net(x).softmax(0), torch.rand(8, 3))", []),
    ],
)
def test_dimension_of_softmax(snippet: str, found: list[tuple[str, str]]) -> None:
    text = f"{_LABELS}net = nn.Linear(4, 3)\ndef f(y, given):\n    return {snippet}\n"
    assert reported("GRD407", text) == found
