"""Programs that are right, though something about them looks wrong."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_right, reported


def test_a_module_is_called_by_the_module_class_and_not_by_a_base_behind_it() -> None:
    check_right("""
import abc

import torch
from torch import nn


class Model(abc.ABC):
    @abc.abstractmethod
    def __call__(self, x):
        pass


class Linear(nn.Module, Model):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x):
        return self.linear(x)


model = Linear()
loss = (model(torch.randn(8, 3)) - torch.randn(8, 1)).pow(2).mean()
loss.backward()
""")


def test_einsum_of_one_tensor_keeps_nothing() -> None:
    program = """
import torch

x = torch.randn(2, 3, 3, requires_grad=True)
y = x * 1
trace = torch.einsum("ijj->i", y{more})
y[:, [0, 1], [0, 1]] = 0
trace.sum().backward()
sums = torch.einsum("ijk->ij", x{more}).sum()
sums.backward()
sums.backward()
"""
    check_right(program.replace("{more}", ""))
    two = program.replace('jj->i", y{more}', 'jj,ijj->i", y, y').replace('jk->ij", x{more}', 'jk,ijk->ij", x, x')
    assert reported("GRD201", two)
    assert reported("GRD301", two)


DECORATED = """
import functools
from other import has_cfg, read

def configurable(init):
    @functools.wraps(init)
    def wrapped(self, *args, **kwargs):
        read(init, self, *args, **kwargs)
    return wrapped

class Anchors(nn.Module):
    @configurable
    def __init__(self, *, sizes):
        super().__init__()
        self.sizes = sizes

    def forward(self, x):
        return x

Anchors(sizes=[3])(torch.ones(3))
"""


def test_a_decorator_of_the_program_calls_the_constructor_in_a_way_that_is_not_known() -> None:
    assert not reported("GRD504", DECORATED)
    assert reported("GRD504", DECORATED.replace("        super().__init__()\n", ""))


def test_one_text_is_not_two() -> None:
    program = """
    from somewhere import kind
    def train(mask, index):
        if kind == "whole":
            given = (index, mask)
        else:
            given = (mask, index)
        if kind == "whole":
            weight = nn.Parameter(mask)
            if kind == "index":
                weight = nn.Parameter(index)
    train(torch.ones(3), torch.tensor([1, 2]))
    """
    assert not reported("GRD304", program)
    assert reported("GRD304", program.replace('kind == "index"', 'kind == "whole"'))


def test_what_a_tensor_certainly_has() -> None:
    program = """
import torch


def item(tensor):
    if torch.is_tensor(tensor) and tensor.device.type == "xla":
        return tensor.detach()
    if hasattr(tensor, "item"):
        return tensor.item()
    if hasattr(tensor, "__getitem__"):
        return tensor[0]
    return tensor


def same(one, other):
    if not torch.is_tensor(one):
        assert one == other
    elif torch.jit.is_tracing():
        assert one == other
    else:
        assert (one == other).all()


item(torch.ones(3).sum())
same(torch.ones(3), torch.ones(3))
"""
    check_right(program)
    assert not reported("GRD902", program)
    assert not reported("GRD316", program)
    assert reported("GRD316", program.replace("if not torch.is_tensor(one)", "if torch.is_tensor(one)"))


def test_what_pytorch_offers() -> None:
    program = """
import torch
import torch.nn.functional as F


def attend(query, mask):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    return torch.baddbmm(mask, query, query.transpose(1, 2)).softmax(-1) @ query


attend(torch.randn(2, 3, 3, requires_grad=True), torch.ones(2, 3, 3, dtype=torch.bool)).sum().backward()
"""
    check_right(program)
    assert not reported("GRD518", program)
    assert reported("GRD518", program.replace('scaled_dot_product_attention")', 'attention")'))
    source = Source.read(program, "program.py")
    assert [one.code for one in findings(analyze(source, target=(1, 13)))] == ["GRD518"]


def test_a_property_that_may_be_set_is_read_by_its_getter() -> None:
    program = """
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.ones(3))

    @property
    def scale(self):
        return self.raw.{read}()

    @scale.setter
    def scale(self, value):
        loss = torch.ones(3).sum()
        loss.backward()

    def forward(self, x):
        return x * self.scale

scaled = Scaled()
optimizer = torch.optim.SGD(scaled.parameters(), lr=0.1)
scaled.scale
loss = scaled(torch.ones(3)).sum()
loss.backward()
optimizer.step()
"""
    assert not reported("GRD604", program.replace("{read}", "exp"))
    assert reported("GRD101", program.replace("{read}", "detach"))
    assert [text for _, text in reported("GRD110", program.replace("{read}", "exp"))] == ["loss.backward()"]


def test_a_parameter_is_registered_under_its_name() -> None:
    check_right("""
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_parameter("raw", nn.Parameter(torch.zeros(3)))
        self.initialize(raw=torch.ones(3))

    def initialize(self, **values):
        for name, value in values.items():
            if name not in self._parameters and name not in self._buffers:
                setattr(self, name, value)
            else:
                getattr(self, name).data.copy_(value)


Scaled()
""")


def test_a_parameter_is_frozen_while_it_is_written() -> None:
    program = """
    layer = nn.Linear(3, 1)
    layer.weight.requires_grad_(False)
    layer.weight[:] = 0.0
    layer.weight.requires_grad_(True)
    layer(torch.randn(8, 3)).pow(2).mean().backward()
    """
    assert not reported("GRD609", program)
    assert reported("GRD609", program.replace("    layer.weight[:] = 0.0\n", ""))


def test_what_one_call_makes_in_two_steps_is_not_carried_to_the_next() -> None:
    program = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Parameter(torch.ones(3, 4))
            self.w = self.first * 1

        def forward(self, x):
            self.w = self.first * 2{old}
            self.w = self.w.view(4, 3)
            return x @ self.w

    net = Net()
    net(torch.ones(2, 4))
    net(torch.ones(2, 4))
    """

    def carried(old: str) -> bool:
        source = Source.read(IMPORTS + textwrap.dedent(program).replace("{old}", old), "net.py")
        return any("is carried" in finding.message for finding in findings(analyze(source)))

    assert not carried("")
    assert carried(" + self.w.view(3, 4)")


def test_calls_for_something_else_than_their_result() -> None:
    assert not reported("GRD616", "torch.rand(1)\ntorch.linalg.cholesky(torch.eye(3))\n")
    assert len(reported("GRD616", "x = torch.ones(3)\ntorch.exp(x)\n")) == 1
    assert not reported("GRD616", "x = torch.ones(3)\ntry:\n    torch.exp(x)\nexcept RuntimeError as e:\n    raise\n")


def test_a_text_is_no_flag_of_backward() -> None:
    assert not reported("GRD312", "def test(precision, loss):\n    precision.backward(loss, 1, 'text', key='other')\n")


@pytest.mark.parametrize("test", ["chosen(name)", "chosen(name) and isinstance(module, nn.Linear)"])
@pytest.mark.parametrize("thaw", ["weight.requires_grad = True", "weight.requires_grad_()", "requires_grad_()"])
def test_some_of_what_is_frozen_is_thawed(test: str, thaw: str) -> None:
    check_right(f"""
import re

import torch
from torch import nn


def chosen(name):
    return re.match("first", name)


def targets(model):
    for name, module in model.named_modules():
        if {test}:
            yield name, module


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Conv2d(3, 16, 3)

    def forward(self, x):
        return self.first(x)


model = Net()
for parameter in model.parameters():
    parameter.requires_grad = False
for name, module in list(targets(model)):
    module.{thaw}
model(torch.randn(2, 3)).sum().backward()
""")


def test_what_is_false_with_whatever_is_before_it() -> None:
    check_right("""
import os

import torch

x = torch.ones(3, requires_grad=True)
y = x * 2
if os.environ.get("CUT") and isinstance(y, torch.nn.Module):
    y.detach().sum().backward()
y.sum().backward()
""")
