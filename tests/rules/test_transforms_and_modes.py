"""Gradients of functions of functions, and what runs with gradients off though nothing there says so: each program is
run on PyTorch."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import check_error, check_right, reported

REVERSIBLE = """
import torch
from torch import nn


class Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, f, *params):
        ctx.f = f
        ctx.save_for_backward(x, *params)
        return x + f(x)

    @staticmethod
    def backward(ctx, grad_y):
        x, *params = ctx.saved_tensors
        x = x.detach().requires_grad_(True)
        {compute}
        grads = torch.autograd.grad(y, [x, *params], grad_y)
        return (grads[0], None, *grads[1:])


net = nn.Linear(4, 4)
Block.apply(torch.randn(2, 4), net, *net.parameters()).sum().backward(){raises}
"""
LEFT_OUT = """
import torch
from torch import nn
from torch.func import functional_call, grad

model = nn.Linear(4, 1)


def compute_loss(params, x):
    return {prediction}.pow(2).mean()


params = {{name: value.detach().clone() for name, value in model.named_parameters()}}
for _ in range(2):
    gradients = grad(compute_loss)(params, torch.randn(8, 4))
    params = {{name: params[name] - 0.1 * gradients[name] for name in params}}
assert {zero}gradients["weight"].any()
"""
NESTED = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Fuse(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 4)

    def forward(self, pair):
        return torch.relu(self.lin(torch.cat(pair, dim=-1)))


stem, block, head = nn.Linear(3, 4), Fuse(), nn.Linear(4, 1)
optimizer = torch.optim.SGD([*stem.parameters(), *block.parameters(), *head.parameters()], lr=0.1)
x = stem(torch.randn(2, 3))
loss = head(checkpoint(block, [x, x], use_reentrant={reentrant})).sum()
loss.backward()
optimizer.step()
assert (block.lin.weight.grad is None) is {reentrant}
"""
REPLACED = """
import torch
from torch import nn


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(2, 4))])
        self.mask = torch.rand(4, 3) > 0.5

    def forward(self, x):
        {write}
        return torch.tanh(x @ {read}.t()) @ self.weights[1].t()


net = Masked()
first = net.weights[0]
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
assert (first.grad is None) is {lost}
"""
VALIDATED = """
import pytorch_lightning as pl


class Forces(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def forces(self, position):
        position = position.clone().requires_grad_(True)
        return -torch.autograd.grad(self.net(position).sum(), position, create_graph=True)[0]

    def training_step(self, batch, number):
        return F.mse_loss(self.forces(batch[0]), batch[1])

    def validation_step(self, batch, number):
        {body}
"""
AVERAGE = """
import copy
import torch
from torch import nn


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = nn.Linear(4, 4)
        self.target = copy.deepcopy(self.online)

    @torch.no_grad()
    def follow(self):
        for mine, other in zip(self.target.parameters(), self.online.parameters()):
            mine.mul_(0.9).add_(other, alpha=0.1)

    def forward(self, x):
        with torch.no_grad():
            wanted = self.target(x)
        return (self.online(x) - wanted).pow(2).mean() + self.online(x).pow(2).mean()


learner = Learner()
optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    learner(torch.randn(2, 4)).backward()
    optimizer.step()
    learner.follow()
"""
CLOSED_OVER = """
import torch
from torch import nn

energy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def forces(position):
    return -torch.func.grad(lambda one: energy(one).sum())(position)


optimizer = torch.optim.SGD(energy.parameters(), lr=0.1)
for _ in range(2):
    loss = (torch.vmap(forces)(torch.randn(5, 3)) - torch.randn(5, 3)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert energy[0].weight.grad.any()
"""


def test_backward_of_a_function_needs_enable_grad() -> None:
    raises = "  # raises RuntimeError: does not require grad"
    check_error("GRD308", REVERSIBLE.format(compute="y = x + ctx.f(x)", raises=raises))


def test_backward_of_a_function_with_enable_grad() -> None:
    check_right(REVERSIBLE.format(compute="with torch.enable_grad():\n            y = x + ctx.f(x)", raises=""))


@pytest.mark.parametrize("prediction", ["model(x)", "functional_call(model, params, (x,))"])
def test_a_function_that_leaves_its_argument_out_has_a_zero_gradient(prediction: str) -> None:
    wrong = prediction == "model(x)"
    program = LEFT_OUT.format(prediction=prediction, zero="not " if wrong else "")
    assert programs.check(program).error is None
    found = reported("GRD315", program)
    assert [severity for severity, _ in found] == ["warning"] * wrong


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_reentrant_checkpoint_does_not_look_into_lists(reentrant: bool) -> None:
    program = NESTED.format(reentrant=reentrant)
    assert programs.check(program).error is None
    assert [severity for severity, _ in reported("GRD116", program)] == ["warning"] * reentrant


@pytest.mark.parametrize("lost", [True, False])
def test_a_parameter_list_makes_parameters_of_tensors(lost: bool) -> None:
    masked = "self.weights[0] * self.mask"
    write, read = (f"self.weights[0] = {masked}", "self.weights[0]") if lost else ("", f"({masked})")
    program = REPLACED.format(write=write, read=read, lost=lost)
    assert programs.check(program).error is None
    assert [severity for severity, _ in reported("GRD114", program)] == ["warning"] * lost


def test_lightning_validates_with_gradients_off() -> None:
    body = "self.log('loss', F.l1_loss(self.forces(batch[0]), batch[1]))"
    assert [severity for severity, _ in reported("GRD308", VALIDATED.format(body=body))] == ["error"]
    assert not reported("GRD308", VALIDATED.format(body=f"with torch.enable_grad():\n            {body}"))


def test_a_moving_average_in_the_optimizer_of_its_module() -> None:
    check_right(AVERAGE)


def test_gradients_of_a_function_lead_to_what_it_closes_over() -> None:
    check_right(CLOSED_OVER)


FLOW = """
import numpy as np
import torch

weight = torch.nn.Parameter(torch.eye(3) + 0.1 * torch.rand(3, 3))
optimizer = torch.optim.SGD([weight], lr=0.1)
for _ in range(2):
    z = torch.randn(8, 3) @ weight.t()
    logdet = {logdet}
    loss = -(-0.5 * z.pow(2).sum(1) + logdet).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("logdet", "told"),
    [
        ("torch.linalg.slogdet(weight.detach())[1]", "GRD101"),
        ("np.linalg.slogdet(weight.detach().numpy())[1]", "GRD105"),
        ("np.log(np.abs(np.linalg.det(weight.detach().numpy())))", "GRD105"),
        ("torch.linalg.slogdet(weight)[1]", ""),
        ("torch.randn(8)", ""),
    ],
)
def test_a_term_of_a_mean_that_is_computed_from_detached_parameters(logdet: str, told: str) -> None:
    program = FLOW.format(logdet=logdet)
    assert programs.check(program).error is None
    found = {code: [severity for severity, _ in reported(code, program)] for code in ("GRD101", "GRD105")}
    assert found == {code: ["warning"] * (code == told) for code in found}


def test_what_is_unpacked_from_arrays_comes_from_where_they_come_from() -> None:
    program = FLOW.format(logdet="np.linalg.slogdet(weight.detach().numpy())").replace("logdet =", "_, logdet =")
    assert programs.check(program).error is None
    assert [severity for severity, _ in reported("GRD105", program)] == ["warning"]


RESIDUAL = """
import torch
from torch import nn
import torch.nn.functional as F

encoder, decoder = nn.Linear(6, 4), nn.Linear(4, 6)
codes = torch.randn(8, 4)
optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)


def quantize(x):
    chosen = codes[torch.cdist(x, codes).argmin(-1)]
    return x + (chosen - x).detach(), F.mse_loss(x, chosen)


x = torch.randn(5, 6)
z = encoder(x)
first, commitment = quantize(z)
second, other = quantize(z - {subtracted})
assert torch.autograd.grad(other, encoder.weight, retain_graph=True)[0].any() == {trains}
loss = F.mse_loss(decoder(first + second), x) + 0.25 * (commitment + other)
loss.backward()
optimizer.step()
"""


@pytest.mark.parametrize(("subtracted", "trains"), [("first", False), ("first.detach()", True)])
def test_a_term_of_which_the_gradient_cancels_itself(subtracted: str, trains: bool) -> None:
    program = RESIDUAL.format(subtracted=subtracted, trains=trains)
    assert programs.check(program).error is None
    assert reported("GRD108", program) == [("information", "z - first")] * (not trains)


def test_grad_of_something_without_a_graph() -> None:
    """What `grad` is to give the gradient of does not matter then."""
    snippet = """
    net = nn.Linear(3, 1)

    {decorator}
    def forces(position):
        return torch.autograd.grad(net(position).sum(), position)[0]
    """
    assert reported("GRD308", snippet.format(decorator="")) == []
    (found,) = reported("GRD308", snippet.format(decorator="@torch.no_grad()"))
    assert found == ("error", "torch.autograd.grad(net(position).sum(), position)")
