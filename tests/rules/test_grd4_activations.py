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


@pytest.mark.parametrize(
    ("net", "loss", "found"),
    [
        ("nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=1))", "F.binary_cross_entropy(net(x), torch.ones(8, 1))", True),
        ("nn.Sequential(nn.Linear(4, 1), nn.Softmax(-1))", "F.mse_loss(net(x), torch.ones(8, 1))", True),
        ("nn.Linear(4, 1)", "F.cross_entropy(net(x), torch.zeros(8, dtype=torch.long))", True),
        ("nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=1))", "F.mse_loss(net(x), torch.ones(8, 2))", False),
        ("nn.Linear(4, 2)", "F.cross_entropy(net(x), torch.zeros(8, dtype=torch.long))", False),
        ("nn.Linear(4, 1)", "F.cross_entropy(net(x).t(), torch.zeros(1, dtype=torch.long))", False),
        ("nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=1))", "F.mse_loss(net(x) * x, x)", False),
    ],
)
def test_one_class(net: str, loss: str, found: bool) -> None:
    assert len(reported("GRD407", f"{_LABELS}net = {net}\n{loss}.backward()\n")) == found


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("penalty = 0.01 * net.weight.abs().sum()", True),
        ("penalty = net.weight.abs().sum() / 100 + 1", True),
        ("penalty = net.weight.abs().sum() * 0.01 + net(x).sum()", True),
        ("penalty = 0.01 * net.weight.abs().sum()\nprint(penalty)", False),
        ("penalty = 0.01 * net.weight.abs()", False),
        ("penalty = 0.01 * net.weight.abs().sum().item()", False),
    ],
)
def test_penalty_that_is_never_added(term: str, found: bool) -> None:
    snippet = f"{_LABELS}net = nn.Linear(4, 3)\n{term}\nloss = F.cross_entropy(net(x), labels)\nloss.backward()\n"
    assert reported("GRD614", snippet) == ([("information", "penalty")] if found else [])


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("(net(x).argmax(1) == labels).float().mean()", True),
        ("1 - (net(x).argmax(1) == labels).float().mean()", True),
        ("(net(x).argmax(1) != labels).float() @ net(x).pow(2).sum(1)", False),
        ("torch.where(net(x) > 0, net(x), 0.0).sum()", False),
        ("(labels == 0).float().mean()", False),
    ],
)
def test_term_without_gradient(term: str, found: bool) -> None:
    snippet = f"""{_LABELS}net = nn.Linear(4, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
out = net(x)
loss = F.cross_entropy(out, labels) + ({term.replace("net(x)", "out")})
loss.backward()
opt.step()
"""
    assert len(reported("GRD107", snippet)) == found


_RNN = "model, x, lengths = nn.Linear(4, 5), torch.randn(9, 2, 4), torch.full((2,), 9)\n"


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("nn.CTCLoss()(model(x), torch.ones(2, 3), lengths, lengths // 3)", 1),
        ("nn.CTCLoss()(model(x).softmax(2), torch.ones(2, 3), lengths, lengths // 3)", 1),
        ("nn.CTCLoss()(model(x).log_softmax(2), torch.ones(2, 3), lengths, lengths // 3)", 0),
        ("nn.PoissonNLLLoss()(model(x).exp(), torch.ones(9, 2, 5))", 1),
        ("F.poisson_nll_loss(model(x).exp(), torch.ones(9, 2, 5))", 1),
        ("nn.PoissonNLLLoss()(model(x), torch.ones(9, 2, 5))", 0),
        ("nn.PoissonNLLLoss(log_input=False)(model(x).exp(), torch.ones(9, 2, 5))", 0),
        ("nn.PoissonNLLLoss(log_input=unknown)(model(x).exp(), torch.ones(9, 2, 5))", 0),
        ("F.poisson_nll_loss(model(x).exp(), torch.ones(9, 2, 5), log_input=False)", 0),
        ("nn.GaussianNLLLoss()(model(x), torch.ones(9, 2, 5), model(x))", 1),
        ("F.gaussian_nll_loss(model(x), torch.ones(9, 2, 5), var=model(x))", 1),
        ("nn.GaussianNLLLoss()(model(x), torch.ones(9, 2, 5), model(x).exp())", 0),
        ("nn.GaussianNLLLoss()(model(x), torch.ones(9, 2, 5), F.softplus(model(x)))", 0),
    ],
)
def test_logarithms_and_variances(loss: str, expected: int) -> None:
    assert reported("GRD403", f"{_RNN}{loss}.backward()\n") == [("warning", loss)] * expected


@pytest.mark.parametrize("options", ["", "log_input=False", "full=True, log_input=True"])
def test_options_named_like_inputs(options: str) -> None:
    """`log_input` is the prediction of the criterion, and an option of the function."""
    loss = f"nn.PoissonNLLLoss({options})(model(x).abs(), torch.ones(9, 2, 5))"
    assert reported("GRD110", f"{_RNN}{loss}.backward()\n") == []


NETWORKS = """
from config import kind
if kind == "wide":
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
elif kind == "deep":
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.LogSoftmax(dim=1))
else:
    net = nn.Sequential(nn.Linear(4, 3), LAST)
out = net(torch.randn(8, 4))
loss = LOSS
"""


@pytest.mark.parametrize(
    ("last", "loss", "found"),
    [
        ("nn.LogSoftmax(dim=1)", "F.cross_entropy(out, torch.arange(8) % 3)", 1),
        ("nn.Softmax(dim=1)", "F.cross_entropy(out, torch.arange(8) % 3)", 1),
        ("nn.Identity()", "F.cross_entropy(out, torch.arange(8) % 3)", 0),
        ("nn.LogSoftmax(dim=1)", "F.nll_loss(out, torch.arange(8) % 3)", 0),
    ],
)
def test_networks_of_which_none_gives_its_raw_output(last: str, loss: str, found: int) -> None:
    """Where one of them is right, an option may decide on the loss, too."""
    program = NETWORKS.replace("LAST", last).replace("LOSS", loss)
    assert [severity for severity, _ in reported("GRD403", program)] == ["information"] * found
