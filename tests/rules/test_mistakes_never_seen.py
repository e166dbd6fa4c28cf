"""Mistakes of users, gathered before anybody looked whether they are found, and their right twins."""

from __future__ import annotations

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.reported import reported

HEAD = "import torch\nfrom torch import nn\n"


def runs(code: str, program: str) -> list[tuple[str, str]]:
    """What is found in a program that PyTorch runs as it says."""
    programs.check(HEAD + program)
    return reported(code, program)


def alarms(program: str) -> list[str]:
    """The errors and warnings in a program that PyTorch runs as it says."""
    programs.check(HEAD + program)
    found = findings(analyze(Source.read(HEAD + program)))
    return [finding.code for finding in found if finding.severity in (Severity.ERROR, Severity.WARNING)]


BY_LAYER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc, self.scale = nn.LayerNorm(4), nn.Linear(4, 1), nn.Parameter(torch.ones(1))


net = Net()
decay, rest = [], []
for name, layer in net.named_modules():
    for own, p in layer.named_parameters({arguments}):
        (decay if own.endswith("fc.weight") else rest).append(p)
opt = torch.optim.SGD([{{"params": decay}}, {{"params": rest, "weight_decay": 0.0}}], lr=0.1){raises}
"""


def test_the_parameters_that_a_layer_has_itself() -> None:
    assert alarms(BY_LAYER.format(arguments="prefix=name, recurse=False", raises="")) == []
    assert alarms(BY_LAYER.format(arguments="name, False", raises="")) == []
    program = BY_LAYER.format(arguments="", raises="  # raises ValueError: some parameters appear in more than one")
    assert reported("GRD510", program)


def test_names_behind_a_prefix() -> None:
    program = """
net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
both = [*net[0].named_parameters(prefix="0"), *net[1].named_parameters(prefix="1")]
last = [p for name, p in both if name.startswith("1.")]
groups = [{"params": last}, {"params": net[1].parameters()}]
opt = torch.optim.SGD(groups, lr=0.1)  # raises ValueError: some parameters appear in more than one
"""
    assert alarms(program) == ["GRD510"]


BY_IDENTITY = """
net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
head = {ids}
base = filter(lambda p: id(p) not in head, net.parameters())
groups = [{{"params": base, "lr": 0.01}}, {{"params": net[1].parameters()}}]
opt = torch.optim.SGD(groups, lr=0.1){raises}
"""


@pytest.mark.parametrize(
    ("ids", "raises"),
    [
        ("map(id, net[1].parameters())", True),
        ("(id(p) for p in net[1].parameters())", True),
        ("list(map(id, net[1].parameters()))", False),
        ("{id(p) for p in net[1].parameters()}", False),
    ],
)
def test_identities_in_an_iterator(ids: str, raises: bool) -> None:
    """The first parameter that is looked for in it, and that is not there, goes through all of it."""
    raised = "  # raises ValueError: some parameters appear in more than one" if raises else ""
    assert alarms(BY_IDENTITY.format(ids=ids, raises=raised)) == ["GRD510"] * raises


def test_an_iterator_that_is_looked_into() -> None:
    program = """
names = iter(["weight", "bias"])
net = nn.Linear(3, 1)
assert "weight" in names
if "weight" in names:
    net.requires_grad_(False)
net(torch.randn(4, 3)).sum().backward()
"""
    assert alarms(program) == []


OWN_OPTIMIZER = """
class Descent(torch.optim.SGD):
    pass


net, head = nn.Linear(3, 4), nn.Linear(4, 1)
opt = Descent([*net.parameters(), *head.parameters()], lr=0.1)
before = net.weight.clone()
for _ in range(2):
    opt.zero_grad()
    head(net(torch.randn(8, 3)){cut}).pow(2).mean().backward()
    opt.step()
assert torch.equal(before, net.weight) is {same}
"""


def test_an_optimizer_of_the_program_that_changes_nothing() -> None:
    assert runs("GRD101", OWN_OPTIMIZER.format(cut=".detach()", same=True))
    assert alarms(OWN_OPTIMIZER.format(cut="", same=False)) == []


TRANSFORMED = """
from torch.func import functional_call, grad_and_value

net = nn.Linear(3, 1)
x = torch.randn(8, 3)
params = {{name: p.detach() for name, p in net.named_parameters()}}


def loss_of(params, x):
    return ({prediction}).pow(2).mean()


gradients, loss = grad_and_value(loss_of)(params, x)
assert bool((gradients["weight"] == 0).all()) is {zero}
"""


def test_a_gradient_with_its_value() -> None:
    assert alarms(TRANSFORMED.format(prediction="net(x)", zero=True)) == ["GRD315"]
    assert alarms(TRANSFORMED.format(prediction="functional_call(net, params, (x,))", zero=False)) == []


ASSIGNED = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
before = net.weight.clone()
for _ in range(2):
    {first}
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    {then}
    opt.step()
    {last}
assert torch.equal(before, net.weight) is {same}
"""


@pytest.mark.parametrize(
    ("first", "then", "last", "found"),
    [
        ("", "opt.zero_grad()", "", ["GRD602"]),
        ("opt.zero_grad()", "", "", []),
        ("", "", "opt.zero_grad()", []),
        ("", "net(torch.randn(2, 3)).sum().backward()", "opt.zero_grad()", []),
    ],
)
def test_gradients_that_are_assigned(first: str, then: str, last: str, found: list[str]) -> None:
    assert alarms(ASSIGNED.format(first=first, then=then, last=last, same=bool(found))) == found
