"""Models that something puts into evaluation mode in every round before they are trained."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

TRAINING = """
def attack(model, x, y):
    {mode}
    x = x.clone().requires_grad_()
    F.cross_entropy(model(x), y).backward()
    {end}
    return (x + 0.1 * x.grad.sign()).detach()

def fit(model, batches, optimizer):
    {before}
    for x, y in batches:
        adversarial = attack(model, x, y)
        {behind}
        optimizer.zero_grad()
        F.cross_entropy(model(adversarial), y).backward()
        optimizer.step()

model = nn.Sequential(nn.Linear(6, 16), {layer}, nn.ReLU(), nn.Linear(16, 3))
batches = [(torch.rand(12, 6), torch.randint(0, 3, (12,))) for _ in range(3)]
fit(model, batches, torch.optim.SGD(model.parameters(), lr=0.1))
"""


@pytest.mark.parametrize(
    ("mode", "end", "before", "behind", "layer", "found"),
    [
        ("model.eval()", "pass", "pass", "pass", "nn.BatchNorm1d(16)", True),
        ("model.eval()", "pass", "pass", "pass", "nn.Dropout(0.5)", True),
        ("model.eval()", "model.train()", "pass", "pass", "nn.Dropout(0.5)", False),
        ("model.eval()", "pass", "pass", "model.train()", "nn.Dropout(0.5)", False),
        ("model.eval()", "pass", "pass", "pass", "nn.LayerNorm(16)", False),
        ("pass", "pass", "model.eval()", "pass", "nn.BatchNorm1d(16)", False),
    ],
)
def test_an_attack(mode: str, end: str, before: str, behind: str, layer: str, found: bool) -> None:
    snippet = TRAINING.format(mode=mode, end=end, before=before, behind=behind, layer=layer)
    assert reported("GRD705", snippet) == ([("information", "model.eval()")] if found else [])


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("p.data.requires_grad = False", True),
        ("p.data.requires_grad_(False)", False),
        ("p.requires_grad = False", False),
        ("model.batch.data.requires_grad = True", False),
    ],
)
def test_flags_of_the_data_of_an_unknown_parameter(statement: str, found: bool) -> None:
    snippet = f"""
    def freeze(model):
        for p in model.parameters():
            {statement}
    """
    assert [severity for severity, _ in reported("GRD503", snippet)] == (["warning"] if found else [])


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("net.weight.data.requires_grad = False", True),
        ("net.weight.data.requires_grad_(False)", True),
        ("values = net.weight.data.requires_grad_()", False),
        ("values = net.weight.data\nvalues.requires_grad = True", False),
        ("net.weight.requires_grad = False", False),
    ],
)
def test_flags_of_the_data_of_a_parameter(statement: str, found: bool) -> None:
    program = f"net = nn.Linear(3, 1)\n{statement}\nassert net.weight.requires_grad == {'weight.req' not in statement}"
    exec("import torch\nfrom torch import nn\n" + program, {})
    assert [severity for severity, _ in reported("GRD503", program)] == (["warning"] if found else [])
