"""Generators with `@contextmanager`: what happens before a block and behind it. Every program is run on PyTorch."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_error, check_right, reported

HEAD = """
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

model, x = nn.Linear(3, 1), torch.randn(4, 3)
"""
FROZEN = """
@contextmanager
def frozen(module):
    for p in module.parameters():
        p.requires_grad_(False)
    try:
        yield module
    finally:
        for p in module.parameters():
            p.requires_grad_(True)
"""
QUIET = """
@contextmanager
def quiet(enabled=True):
    if not enabled:
        yield
        return
    with torch.no_grad():
        yield
"""
LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

@contextmanager
def training():
    {before}
    yield
    optimizer.step()
    {behind}

for _ in range(3):
    with training():
        model(x).pow(2).mean().backward()
"""
NO_GRAPH = "# raises RuntimeError: element 0 of tensors does not require grad"
WRONG = {
    ("GRD110", "frozen in the block"): f"{FROZEN}\nwith frozen(model):\n    model(x).sum().backward()  {NO_GRAPH}\n",
    (
        "GRD110",
        "what the generator gives",
    ): f"{FROZEN}\nwith frozen(model) as m:\n    m(x).sum().backward()  {NO_GRAPH}\n",
    ("GRD106", "returned out of the block"): f"""{QUIET}
def loss_of(module):
    with quiet():
        return module(x).sum()

loss_of(model).backward()  {NO_GRAPH}
""",
    ("GRD110", "of a method"): f"""
class Trainer:
    def __init__(self):
        self.model = model

    @contextmanager
    def frozen(self):
        for p in self.model.parameters():
            p.requires_grad = False
        yield self.model
        for p in self.model.parameters():
            p.requires_grad = True

    def step(self):
        with self.frozen() as m:
            m(x).sum().backward()  {NO_GRAPH}

Trainer().step()
""",
    ("GRD110", "one manager in another"): f"""{FROZEN}
@contextmanager
def both(module):
    with frozen(module):
        yield

with both(model):
    model(x).sum().backward()  {NO_GRAPH}
""",
}
RIGHT = {
    "thawed behind the block": f"{FROZEN}\nwith frozen(model):\n    model(x)\nmodel(x).sum().backward()\n",
    "thawed on all ways out": f"""{FROZEN}
def value(module, x):
    with frozen(module):
        if x.sum() > 0:
            return module(x).sum()
        y = x * 2
    return module(y).sum()

value(model, x)
model(x).sum().backward()
for i in range(3):
    with frozen(model):
        if i == 1:
            break
model(x).sum().backward()
for i in range(3):
    with frozen(model), torch.no_grad():
        if i == 1:
            continue
    model(x).sum().backward()
""",
    "switched off by an argument": f"""{QUIET}
with quiet(False):
    loss = model(x).sum()
loss.backward()
with quiet():
    model(x)
model(x).sum().backward()
""",
    "a branch that leaves the block, and one that stays in it": f"""{QUIET}
def value(x):
    with quiet():
        if x.sum() > 100:
            return None
        h = model(x)
    return h

value(x)
model(x).sum().backward()
""",
    "an error in the block": f"""{QUIET}
def check(x):
    with quiet():
        if x.dim() != 2:
            raise ValueError
        model(x)

try:
    check(x[0])
except ValueError:
    pass
model(x).sum().backward()
""",
    "one of two managers": f"""
import sys
{FROZEN}
with frozen(model) if len(sys.argv) > 99 else nullcontext():
    model(x).sum().backward()
""",
    "a branch that nobody knows decides": """
import sys

@contextmanager
def maybe(module):
    if len(sys.argv) > 99:
        module.requires_grad_(False)
        yield
        module.requires_grad_(True)
    else:
        yield

with maybe(model):
    model(x).sum().backward()
""",
    "cleared before": LOOP.format(before="optimizer.zero_grad()", behind="pass"),
    "cleared behind": LOOP.format(before="pass", behind="optimizer.zero_grad()"),
}


@pytest.mark.parametrize(("rule", "title"), WRONG)
def test_wrong(rule: str, title: str) -> None:
    check_error(rule, HEAD + WRONG[rule, title])


@pytest.mark.parametrize("title", RIGHT)
def test_right(title: str) -> None:
    check_right(HEAD + RIGHT[title])


def test_never_cleared() -> None:
    program = HEAD + LOOP.format(before="pass", behind="pass")
    assert reported("GRD601", program) == [("warning", "optimizer.step()")]


def test_frozen_for_the_block_only() -> None:
    used = f"{HEAD}{FROZEN}\nwith frozen(model):\n    y = x.clone().requires_grad_()\n    model(y).sum().backward()\n"
    check_right(used)
    assert reported("GRD609", used) == []
