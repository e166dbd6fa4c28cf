"""Programs that are right, though something about them looks wrong."""

from __future__ import annotations

from tests.rules.reported import check_right, reported


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
