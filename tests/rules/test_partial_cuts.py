"""Cuts that cost part of a gradient, what only a backward would do, and schedules for the wrong optimizer."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import IMPORTS, reported

ADAPTED = """
class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(3, 3).requires_grad_(False)
        self.up = nn.Linear(3, 3)

    def forward(self, x):
        {frozen}
        return frozen + self.up({given})


net = nn.Sequential(Adapter(), Adapter())
optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
optimizer.zero_grad()
net(torch.ones(2, 3)).sum().backward()
optimizer.step()
probe = torch.ones(2, 3, requires_grad=True)
(gradient,) = torch.autograd.grad(net[1](probe).sum(), probe)
whole = (net[1].base.weight + net[1].up.weight).sum(0)
"""


@pytest.mark.parametrize(
    ("frozen", "given", "whole", "count"),
    [
        ("with torch.no_grad(): frozen = self.base(x)", "x", False, 1),
        ("frozen = self.base(x)", "x", True, 0),
        ("frozen = self.base(x.detach())", "x", False, 0),
        ("with torch.no_grad(): frozen = torch.relu(x)", "x", False, 0),
        ("with torch.no_grad(): frozen = self.base(torch.ones(2, 3))", "x", False, 0),
    ],
)
def test_a_frozen_layer_beside_one_that_is_trained(frozen: str, given: str, whole: bool, count: int) -> None:
    text = ADAPTED.format(frozen=frozen, given=given)
    assert reported("GRD106", text) == [("information", "torch.no_grad()")] * count
    programs.check(f"{IMPORTS}{text}assert torch.allclose(gradient[0], whole) is {whole}\n")


WEIGHED = """
log_weight = torch.zeros((), requires_grad=True)
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
of_weight = torch.optim.SGD([{held}], lr=0.1)
{before}
used = []
for _ in range(3):
    {inside}
    used.append(weight)
    loss = weight * net(torch.ones(2, 3)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    of_weight.zero_grad()
    (log_weight.exp() * 2).backward()
    of_weight.step()
"""
READ = "weight = log_weight.exp().item()"


@pytest.mark.parametrize(
    ("held", "before", "inside", "changes", "count"),
    [
        ("log_weight", READ, "pass", False, 1),
        ("log_weight", "", READ, True, 0),
        ("log_weight", "weight = 0.5", "pass", False, 0),
        ("torch.zeros((), requires_grad=True)", READ, "pass", False, 0),
        ("log_weight", "weight = (log_weight * torch.rand(2)).sum().item()", "pass", False, 0),
    ],
)
def test_a_number_that_is_read_before_training(held: str, before: str, inside: str, changes: bool, count: int) -> None:
    text = WEIGHED.format(held=held, before=before, inside=inside)
    found = [one for one in reported("GRD104", text) if "item" in one[1] and inside == "pass"]
    assert len(found) == count
    programs.check(f"{IMPORTS}{text}assert (len(set(used)) > 1) is {changes}\n")


def test_numbers_that_a_policy_gives_before_it_is_trained() -> None:
    snippet = """
        policy = nn.Linear(3, 1, bias=False)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
        for episode in range(3):
            old = [policy(torch.ones(3)).item() for _ in range(4)]
            state = torch.from_numpy(environment.reset())
            drawn = policy(state).item()
            for _ in range(2):
                loss = policy(torch.ones(3)).sum() * old[0] + policy(state).sum() * drawn
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    """
    assert reported("GRD104", snippet) == []


REVERSED = """
called = []


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return {result}

    @staticmethod
    def backward(ctx, gradient):
        called.append(1)
        return -gradient


encoder, head = nn.Linear(3, 4), nn.Linear(4, 2)
features = encoder(torch.ones(2, 3))
head(Reverse.apply({given})).sum().backward()
"""


@pytest.mark.parametrize(
    ("result", "given", "calls", "count"),
    [
        ("x.view_as(x)", "features.detach()", False, 1),
        ("x.clone()", "features.detach()", False, 1),
        ("x.view_as(x)", "features", True, 0),
        ("x * 2", "features.detach()", False, 0),
        ("x.view_as(x)", "torch.ones(2, 4)", False, 0),
    ],
)
def test_a_function_that_only_changes_gradients(result: str, given: str, calls: bool, count: int) -> None:
    text = REVERSED.format(result=result, given=given)
    assert reported("GRD810", text) == [("information", f"Reverse.apply({given})")] * count
    programs.check(f"{IMPORTS}{text}assert bool(called) is {calls}\n")


SCHEDULED = """
one, two = nn.Linear(3, 1), nn.Linear(3, 1)
first = torch.optim.SGD(one.parameters(), lr=1.0)
second = torch.optim.SGD(two.parameters(), lr=1.0)
schedules = torch.optim.lr_scheduler
of_first = schedules.StepLR(first, 1, 0.5)
of_second = {made}
for _ in range(2):
    for optimizer in (first, second):
        optimizer.zero_grad()
    (one(torch.ones(2, 3)) + two(torch.ones(2, 3))).sum().backward()
    first.step()
    second.step()
    of_first.step()
    of_second.step()
"""


@pytest.mark.parametrize(
    ("made", "rates", "count"),
    [
        ("schedules.StepLR(first, 1, 0.5)", (0.0625, 1.0), 1),
        ("schedules.StepLR(second, 1, 0.5)", (0.25, 0.25), 0),
        ("schedules.StepLR(first, 2, 0.5)", (0.125, 1.0), 0),
        ("schedules.ExponentialLR(first, 0.5)", (0.0625, 1.0), 0),
    ],
)
def test_two_schedules_of_one_optimizer(made: str, rates: tuple[float, float], count: int) -> None:
    text = SCHEDULED.format(made=made)
    assert reported("GRD613", text) == [("information", made)] * count
    stated = "(first.param_groups[0]['lr'], second.param_groups[0]['lr'])"
    programs.check(f"{IMPORTS}{text}assert {stated} == {rates}\n")
