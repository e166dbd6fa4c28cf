"""Right programs that were blamed once: forms found in code of others that nothing had been tried on before."""

from __future__ import annotations

from tests.rules.reported import check_right, reported


def test_a_method_that_the_program_gives_to_every_module_registers_what_it_takes() -> None:
    check_right("""
import torch
from torch import nn


def put(self, layer):
    self.add_module(f"layer{len(self)}", layer)


nn.Module.put = put
net = nn.Sequential()
net.put(nn.Linear(3, 3))
net.put(nn.Tanh())
net(torch.randn(2, 3)).sum().backward()
assert net.layer0.weight.grad is not None
""")


def test_modules_that_are_put_into_another_dictionary_of_modules() -> None:
    check_right("""
from collections import OrderedDict

import torch
from torch import nn


def rebuilt(module):
    class Copy(module.__class__):
        def __init__(self):
            nn.Module.__init__(self)
            self._modules = OrderedDict()

    copy = Copy()
    for name, child in module._modules.items():
        copy._modules[name] = child
    return copy


net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
rebuilt(net)(torch.randn(2, 3)).sum().backward()
assert net[0].weight.grad is not None
""")


def test_what_a_compiler_makes_of_a_function_writes_to_memory() -> None:
    program = """
    import taichi as ti
    from numba import cuda

    weight = nn.Parameter(torch.zeros(3))

    @{decorator}
    def fill(data):
        for i in range(3):
            data[i] = 2.0

    fill(weight)
    """
    for decorator in ("ti.kernel", "cuda.jit", 'cuda.jit("void(float32[:])")'):
        assert not reported("GRD203", program.replace("{decorator}", decorator))
    assert reported("GRD203", program.replace("@{decorator}", ""))


def test_what_an_object_of_a_function_gives_is_told_once() -> None:
    program = """
    class Correlation(torch.autograd.Function):
        def forward(self, a, b):
            return a.new()

        def backward(self, gradient):
            return gradient, gradient

    a = torch.randn(3, requires_grad=True)
    Correlation()(a, a).mean().backward()
    """
    assert reported("GRD803", program)
    assert not reported("GRD110", program)


def test_volatile_that_is_handed_on_is_told_where_that_is_done() -> None:
    program = """
    from torch.autograd import Variable

    def wrap(*args, **kwargs):
        return Variable(*args, **kwargs).cuda()

    wrap(torch.ones(3), volatile=True)
    """
    assert reported("GRD902", program) == [("warning", "Variable(*args, **kwargs)")]
