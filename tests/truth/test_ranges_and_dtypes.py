"""What is known of the numbers, the dtype and the shape of tensors, against PyTorch."""

from __future__ import annotations

import numpy
import pytest
import torch

from gradls.flow import dtypes, ranges
from gradls.flow.analyze import analyze
from gradls.flow.values import Tensor
from gradls.syntax.source import Source

SET_UP = """
import math
import numpy as np
import torch
from torch.nn import functional as F
a = torch.tensor([0.0, 4.0, -9.5])
b = torch.tensor([[1, 2], [3, 0]])
c = torch.zeros(2, 3)
d = torch.ones(3, dtype=torch.float64)
r, n = torch.rand(3, 3), torch.randn(3, 3)
half = torch.full((2, 2), 0.5, dtype=torch.float16)
array = np.random.rand(3, 2)
layer = torch.nn.Linear(3, 2)
"""
EXPRESSIONS = """
a  a + 1  1 - a  a * 2  a / 4  -a  a ** 2  a * a  a.abs()  a.square()  a.relu()  a.clamp(-1, 2)  a.clamp(min=0.5)
a.sigmoid()  a.tanh()  a.exp()  a.sum()  a.mean()  a.max()  a[0]  a[:2]  a.reshape(3, 1)  a.unsqueeze(0)  a.clone()
(100 * a).sigmoid()  (1e30 * a).square()  a > 0  (a > 0).float()  a == 4  a.long()  a.bool()  a.double()  a.half()
(a + 9.5).sqrt()  a - a  a * d  a + d  torch.where(a > 0, a, -a)  torch.where(a > 0, a, torch.zeros_like(a))
b  b + 1  b * b  b.float()  b.sum()  b.sum(0)  b[0]  b ** 2  b / 2  b.float().softmax(1)  b * 0.5  -b
c  c + 3  c.sum()  c.sum(1)  c.sum(1) + 1  c.exp()  c.softmax(1)  c.mean(0)  c.transpose(0, 1)  c.bool()  c - 2
d  d + 1  d.sum()  d.float()  d.to(torch.float32)  d.to("cpu")  d.new_zeros(2)  d.cpu()  torch.zeros_like(d)
r  r + 1  1 - r  r * r  2 * r - 1  r.sum(1)  r.log_softmax(0)  r.unsqueeze(0)  r @ r  r.sum()  n.relu()  n.tanh()
n.square().sum(1)  n.softmax(0)  n.clamp(0, 1)  n.abs().sum(0)  n.norm(dim=1)  n * 0  n + d  n * half.sum()
half  half + 1  half * 2.5  half.sum()  half + a[0]  half * d[0]  half.float()  half + torch.ones(2, 2)
torch.arange(5)  torch.arange(2, 9, 3)  torch.arange(5) - 1  torch.eye(3)  torch.randint(2, 7, (4,))
torch.full((2,), 3)
torch.ones(3, 3).triu(0)  torch.ones(3, 3).tril()  torch.ones(3, 3).triu(1) == 0  torch.linspace(0, 1, 5)
F.one_hot(b, 5)  F.softplus(a)  F.cosine_similarity(n, r)  torch.stack([a, a])  torch.cat([a, a])
n.masked_fill(torch.ones(3, 3).triu().bool(), float("-inf"))
c.masked_fill(torch.ones(2, 3, dtype=torch.bool), -math.inf)
n + torch.full((3, 3), float("-inf")).triu(1)  n + torch.full((3, 3), -math.inf).triu()
torch.from_numpy(array)  torch.tensor(array)  torch.as_tensor(array.astype(np.float32))  torch.tensor(array * 2 + 1)
torch.from_numpy(np.zeros((2, 2)))  torch.from_numpy(np.array([1.5, 2]))  torch.Tensor(array)  torch.FloatTensor([1, 2])
torch.from_numpy(np.ones(3, dtype=np.float32))  torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3)))
torch.tensor([1, 2.5])  torch.tensor(3)  torch.tensor([True])  torch.tensor([1.0], dtype=torch.half)
torch.DoubleTensor(2)
layer(r)  layer(n).relu()  layer.double()(n.double())  layer.half().weight  layer(r).detach() + d[:2]
torch.nn.Parameter(d)  d.detach() * 2  d.data + 1  torch.tensor(a.max().item())  torch.tensor([b.sum().item()])
"""


def _expressions() -> list[str]:
    return [part.strip() for line in EXPRESSIONS.splitlines() for part in line.split("  ") if part.strip()]


def _known(expression: str) -> Tensor | None:
    """What the engine gives for an expression."""
    source = Source.read(f"{SET_UP}print({expression})\n", "snippet.py")
    calls = analyze(source).calls
    call = next(node for node in calls if getattr(node.func, "id", "") == "print")
    value = calls[call][0][1].args[0]
    return value if isinstance(value, Tensor) else None


@pytest.mark.parametrize("expression", _expressions())
def test_what_is_known_is_true(expression: str) -> None:
    torch.manual_seed(0)
    numpy.random.seed(0)
    names: dict[str, object] = {}
    exec(SET_UP, names)
    real = eval(expression, names)
    assert isinstance(real, torch.Tensor)
    value = _known(expression)
    if value is None:
        return
    exact = dtypes.exact(value)
    assert exact is None or value.dtype != "float" or real.dtype is getattr(torch, exact)
    if value.shape is not None:
        assert len(value.shape) == real.dim()
        assert all(known in (None, size) for known, size in zip(value.shape, real.shape, strict=True))
    found = ranges.of(value)
    if found is None:
        return
    numbers = real.detach().double()
    assert (numbers >= found.low - 1e-6).all()
    assert (numbers <= found.high + 1e-6).all()
    assert all(torch.isclose(numbers, torch.tensor(number).double()).any() for number in found.has)
    if found.full_row is not None:
        rows = numbers.reshape(-1, numbers.shape[-1] if numbers.dim() else 1)
        assert (rows == found.full_row).all(dim=1).any()


def test_much_is_known() -> None:
    values = [_known(expression) for expression in _expressions()]
    assert sum(value is not None and ranges.of(value) is not None for value in values) > 70
    assert sum(value is not None and dtypes.exact(value) is not None for value in values) > 80
