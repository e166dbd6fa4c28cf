"""GRD315 about custom Functions in forward mode, beyond its page."""

from __future__ import annotations

import pytest

from gradls.rules.grd315_function_transform import FunctionTransform
from gradls.testing import found_in

FUNCTIONS = """
import torch
import torch.autograd.forward_ad as fw

class Twice(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * 2
    @staticmethod
    def setup_context(ctx, inputs, output):
        pass
    @staticmethod
    def backward(ctx, grad):
        return grad * 2

class Forward(Twice):
    @staticmethod
    def jvp(ctx, tangent):
        return tangent * 2

x, t = torch.randn(2), torch.ones(2)
layer = torch.nn.Linear(2, 2)
"""


def found(body: str) -> int:
    rule = FunctionTransform()
    return sum(finding.code == rule.code for finding in found_in(FUNCTIONS + body, rule))


@pytest.mark.parametrize(
    "body",
    [
        "with fw.dual_level():\n    Twice.apply(layer(fw.make_dual(x, t)))",
        "with fw.dual_level():\n    with torch.no_grad():\n        Twice.apply(fw.make_dual(x, t))",
        "torch.func.jvp(lambda v: Twice.apply(v.sin() * x), (x,), (t,))",
        "torch.func.hessian(lambda v: Twice.apply(v).sum())(x)",
        "torch.func.jacfwd(Twice.apply)(x)",
    ],
)
def test_found(body: str) -> None:
    assert found(body) == 1


@pytest.mark.parametrize(
    "body",
    [
        "with fw.dual_level():\n    Forward.apply(fw.make_dual(x, t))",
        "with fw.dual_level():\n    Twice.apply(fw.make_dual(x, t).detach())",
        "with fw.dual_level():\n    Twice.apply(fw.unpack_dual(fw.make_dual(x, t)).tangent)",
        "with fw.dual_level():\n    Twice.apply(torch.zeros_like(fw.make_dual(x, t)))",
        "with fw.dual_level():\n    d = fw.make_dual(x, t)\n    with torch.inference_mode():\n        Twice.apply(d)",
        "with fw.dual_level():\n    d = fw.make_dual(x, t)\nTwice.apply(d)",
        "torch.func.jacrev(Twice.apply)(x)",
        "torch.func.jvp(lambda v: v * Twice.apply(x), (x,), (t,))",
        "torch.func.jvp(lambda v: v * Twice.apply(v.detach()), (x,), (t,))",
        "torch.func.jvp(lambda v: v * Twice.apply(torch.zeros_like(v)), (x,), (t,))",
        "torch.autograd.functional.jvp(Twice.apply, (x,), (t,))",
    ],
)
def test_silent(body: str) -> None:
    assert found(body) == 0
