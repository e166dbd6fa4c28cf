"""Programs that are nearly what a rule tells of, and are right: no rule says anything of them."""

from __future__ import annotations

import pytest
import torch

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs

IMPORTS = "import torch\nfrom torch import nn\n"


def told(program: str) -> set[str]:
    """The codes of all that is said of a program, which PyTorch runs."""
    assert programs.check(IMPORTS + program).error is None
    return {finding.code for finding in findings(analyze(Source.read(IMPORTS + program)))}


UNSCALED = """
net = nn.Linear(3, 1)
optimizer, scaler = torch.optim.SGD(net.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
for _ in range(2):
    optimizer.zero_grad()
    scaler.scale(net(torch.randn(4, 3)).pow(2).mean()).backward()
    {unscale}
    (1e-3 * net.weight.pow(2).sum()).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""


def test_plain_gradients_that_are_added_to_unscaled_ones() -> None:
    assert not told(UNSCALED.format(unscale="scaler.unscale_(optimizer)"))
    assert told(UNSCALED.format(unscale="pass")) == {"GRD610"}


def test_the_step_behind_unscaling_does_not_divide_again() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    weight.sum().backward()
    scaler.step(optimizer)
    assert weight.item() == -1


FROZEN_LATER = """
body, head = nn.Linear(3, 3), nn.Linear(3, 1)
optimizer = torch.optim.SGD([{{"params": body.parameters(), "lr": 0.01}}, {{"params": head.parameters()}}], lr=0.1)
{train}
body.requires_grad_(False)
later = torch.optim.SGD(head.parameters(), lr=0.1)
{step}.zero_grad()
head(body(torch.randn(4, 3))).mean().backward()
{step}.step()
"""


def test_a_layer_that_is_frozen_after_it_was_trained() -> None:
    train = "head(body(torch.randn(4, 3))).mean().backward()\noptimizer.step()"
    assert not told(FROZEN_LATER.format(train=train, step="later"))
    assert "GRD505" in told(FROZEN_LATER.format(train="", step="optimizer"))


STRATEGY = """
def fill(tensors, gradients):
    for tensor, gradient in zip(tensors, gradients):
        {given}

mean = torch.zeros(3)
optimizer = torch.optim.Adam([{{"params": [mean]}}], lr=0.1)
for _ in range(2):
    fill([mean], [torch.randn(3)])
    optimizer.step()
"""


def test_tensors_that_are_given_gradients_need_none() -> None:
    assert not told(STRATEGY.format(given="tensor.grad = gradient"))
    assert told(STRATEGY.format(given="print(gradient)")) == {"GRD505"}


VARIANCE = """
mean, spread, noise = nn.Linear(3, 1), nn.Linear(3, 1), torch.rand(4, 1) + 0.1
x, y = torch.randn(4, 3), torch.rand(4, 1)
loss = nn.GaussianNLLLoss()({given})
loss.backward()
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("mean(x), mean(x + 1).detach(), noise", set()),
        ("mean(x), y, spread(x).exp()", set()),
        ("mean(x), spread(x).exp(), y", {"GRD126", "GRD401"}),
    ],
)
def test_a_variance_that_was_measured(given: str, found: set[str]) -> None:
    assert told(VARIANCE.format(given=given)) == found


def test_a_weight_in_a_row_of_one() -> None:
    program = """
net, weight = nn.Linear(3, 1), torch.tensor({weight})
loss = nn.functional.mse_loss(net(torch.randn(2, 3)), torch.randn(2, 1))
(loss * weight).sum().backward()
"""
    assert not told(program.format(weight="[0.7]"))
    assert told(program.format(weight="[0.7, 0.3]")) == {"GRD406"}


SHOWN = """
class Trainer:
    def __init__(self):
        self.net = nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def step(self, x):
        error, penalty = self.net(x).pow(2).mean(), self.net.weight.abs().sum()
        self.loss_all = {total}
        self.optimizer.zero_grad()
        error.backward()
        self.optimizer.step()

    def shown(self):
        return {shown}


trainer = Trainer()
trainer.step(torch.randn(2, 3))
trainer.shown()
"""


@pytest.mark.parametrize(
    ("total", "shown", "found"),
    [
        ("error + 0.1 * penalty", "None", {"GRD614"}),
        ("error + penalty.detach() + 1", "None", set()),
        ("error + penalty", "[getattr(self, 'loss_' + name).item() for name in ('all',)]", set()),
        ("error + penalty", "getattr(self, 'loss_all').item()", set()),
        ("error + penalty", "[v.item() for v in vars(self).values() if isinstance(v, torch.Tensor)]", set()),
    ],
)
def test_sums_that_are_shown(total: str, shown: str, found: set[str]) -> None:
    assert told(SHOWN.format(total=total, shown=shown)) == found


def test_a_function_whose_methods_are_lambdas() -> None:
    program = """
class Same(torch.autograd.Function):
    forward = staticmethod(lambda ctx, x: x * 1)
    backward = staticmethod(lambda ctx, {takes}: gradient)


weight = torch.ones(3, requires_grad=True)
Same.apply(weight).sum().backward()
"""
    assert not told(program.format(takes="gradient"))
    found = findings(analyze(Source.read(IMPORTS + program.format(takes="gradient, other"))))
    assert {finding.code for finding in found} == {"GRD801"}
