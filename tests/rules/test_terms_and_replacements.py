"""Terms of a loss that are cleared away, parameters that are replaced, and gradients that are put in place by hand."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.reported import IMPORTS, check_error, check_right, reported

TWO_PASSES = """
import torch
from torch import nn

disc = nn.Linear(6, 1)
opt = torch.optim.SGD(disc.parameters(), lr=0.1)
crit = nn.BCEWithLogitsLoss()
{loop}
    opt.zero_grad()
    crit(disc(torch.randn(5, 6)), torch.ones(5, 1)).backward()
    {between}
    second = crit(disc(torch.randn(5, 6)), torch.zeros(5, 1))
    alone = torch.autograd.grad(second, disc.weight, retain_graph=True)[0]
    second.backward()
    {same}
    opt.step()
"""


@pytest.mark.parametrize(
    ("loop", "between", "found"),
    [
        ("for _ in range(2):", "opt.zero_grad()", ["information"]),
        ("if True:", "opt.zero_grad()", []),  # A first pass may be there to warm up.
        ("for _ in range(2):", "norm = disc.weight.grad.norm(); opt.zero_grad()", []),
        ("for _ in range(2):", "opt.step(); opt.zero_grad()", []),
    ],
)
def test_first_of_two_passes_is_cleared(loop: str, between: str, found: list[str]) -> None:
    text = TWO_PASSES.format(loop=loop, between=between, same="assert torch.allclose(disc.weight.grad, alone)")
    programs.check(text)
    assert [severity for severity, _ in reported("GRD602", text)] == found


ASSIGNED = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
state = {{name: tensor.clone() for name, tensor in model.state_dict().items()}}
{before}
model.load_state_dict(state{options})
{after}
before = model[0].weight.detach().clone()
loss = model(torch.randn(8, 6)).pow(2).mean()
loss.backward()
optimizer.step()
assert torch.equal(before, model[0].weight) is {still}
"""
MADE = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)"


@pytest.mark.parametrize(
    ("before", "options", "after", "found"),
    [
        (MADE, ", assign=True", "", ["model.load_state_dict(state, assign=True)"]),
        (MADE, "", "", []),
        (MADE, ", assign=False", "", []),
        ("", ", assign=True", MADE, []),
    ],
)
def test_load_state_dict_puts_new_parameters(before: str, options: str, after: str, found: list[str]) -> None:
    text = ASSIGNED.format(before=before, options=options, after=after, still=bool(found))
    programs.check(text)
    told = [what for _, what in reported("GRD607", text) if "load_state_dict" in what]
    assert told == found
    if not found:
        check_right(text)


@pytest.mark.parametrize(
    "optimizer", ["SGD(model.parameters(), lr=0.1, weight_decay=1e-4)", "Adagrad(model.parameters(), weight_decay=0.1)"]
)
def test_decay_of_sparse_gradients(optimizer: str) -> None:
    program = f"""
    import torch

    model = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.{optimizer}
    model(torch.tensor([0])).sum().backward()
    optimizer.step()  # raises RuntimeError: {"add(sparse, dense)" if "SGD" in optimizer else "weight_decay"}
    """
    check_error("GRD511", textwrap.dedent(program))


@pytest.mark.parametrize(
    "optimizer",
    [
        "SGD(model.parameters(), lr=0.1, weight_decay=0.0)",
        "SGD(model.parameters(), lr=0.1, momentum=0.9)",
        "SGD([{'params': model.parameters(), 'weight_decay': 0.0}], lr=0.1, weight_decay=0.1)",
    ],
)
def test_sparse_gradients_without_decay(optimizer: str) -> None:
    check_right(
        "import torch\n\nmodel = torch.nn.Embedding(5, 3, sparse=True)\n"
        f"optimizer = torch.optim.{optimizer}\n"
        "model(torch.tensor([0])).sum().backward()\noptimizer.step()\n"
    )


SHARED = """
import torch
from torch import nn

shared, local = nn.Linear(4, 1), nn.Linear(4, 1)
optimizer = torch.optim.SGD(shared.parameters(), lr=0.1)
before = shared.weight.detach().clone()
for _ in range(2):
    local.load_state_dict(shared.state_dict())
    local.zero_grad()
    local(torch.randn(6, 4)).pow(2).mean().backward()
    for mine, other in zip(local.parameters(), shared.parameters()):
        other.{name} = mine.grad
    optimizer.step()
assert not torch.equal(before, shared.weight)
"""


@pytest.mark.parametrize("name", ["grad", "_grad"])
def test_gradients_of_a_copy_are_handed_on(name: str) -> None:
    check_right(SHARED.format(name=name))


@pytest.mark.parametrize(
    "loss",
    [
        "sum((head(h) - t).pow(2).mean() for head, t in zip(heads, targets))",
        "torch.stack([(head(h) - t).pow(2).mean() for head, t in zip(heads, targets)]).sum()",
        "sum([head(h).mean() * w for head, w in zip(heads, targets.mean((1, 2)))])",
    ],
)
def test_every_module_of_a_comprehension_is_used(loss: str) -> None:
    """Beside something of unknown length, too: the elements that are known are all gone through."""
    text = IMPORTS + textwrap.dedent(f"""
        shared, heads = nn.Linear(6, 8), nn.ModuleList([nn.Linear(8, 1) for _ in range(4)])
        opt = torch.optim.Adam([*shared.parameters(), *heads.parameters()])
        targets = torch.randn(4, 16, 1)
        h = torch.relu(shared(torch.randn(16, 6)))
        loss = {loss}
        loss.backward()
        opt.step()
        assert all(p.grad is not None for p in heads.parameters())
        """)
    programs.check(text)
    assert [finding.code for finding in findings(analyze(Source.read(text))) if finding.code == "GRD520"] == []
