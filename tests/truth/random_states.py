"""Random programs that carry a state from round to round of a loop: with its graph, or detached in one of many ways."""

from __future__ import annotations

from random import Random

HEAD = """\
import sys

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
data = list(torch.randn(len(sys.argv) + 8, 2, 3))

def cut(state):
    return state.detach() if isinstance(state, torch.Tensor) else type(state)(cut(part) for part in state)

"""
_CELLS = (
    ("nn.RNNCell(3, 3)", "torch.zeros(2, 3)", "h = cell(x, h); out = h"),
    ("nn.GRU(3, 3)", "torch.zeros(1, 2, 3)", "o, h = cell(x[None], h); out = o[0]"),
    ("nn.LSTMCell(3, 3)", "(torch.zeros(2, 3), torch.zeros(2, 3))", "h = cell(x, h); out = h[0]"),
    ("nn.LSTM(3, 3)", "(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))", "o, h = cell(x[None], h); out = o[-1]"),
    ("nn.Linear(3, 3)", "[torch.zeros(2, 3)]", "h = [torch.tanh(cell(x) * part) + x for part in h]; out = h[0]"),
)
_CUTS = ("h = h.detach()", "h.detach_()", "h = h.data", "h = h.clone().detach()", "h = cut(h)")
_CUTS_OF_SEVERAL = (
    "h = tuple(part.detach() for part in h)", "h = [part.detach() for part in h]; h = tuple(h)", "h = cut(h)",
    "h = tuple(map(torch.Tensor.detach, h))",
)  # fmt: skip
_LOOPS = ("for step, x in enumerate(data):", "for step in range(len(data)):\n    x = data[step]")
_LOSSES = ("head(out).pow(2).mean()", "F.mse_loss(head(out), torch.zeros(2, 1))")
_STEP = ("optimizer.zero_grad()", "loss.backward()", "optimizer.step()")


def program(random: Random) -> str:
    """One of them. It raises if the state is not detached."""
    made, start, forward = random.choice(_CELLS)
    cuts = (_CUTS if start.startswith("torch") else _CUTS_OF_SEVERAL)[:]
    cut = [random.choice(cuts)] if random.random() < 0.6 else []
    loss = random.choice(_LOSSES)
    body = [forward]
    kind = random.randint(0, 3)
    every = random.choice((2, 3))
    if kind == 0:
        body += [f"loss = {loss}", *_STEP, *cut]
    elif kind == 1:
        body += [*cut, forward, f"loss = {loss}", *_STEP]
    elif kind == 2:
        body += [f"loss = loss + {loss}", f"if (step + 1) % {every} == 0:", *_indented(*_STEP, "loss = 0", *cut)]
    else:
        body += [f"if step % {every} == 0: loss = {loss}", f"else: loss = loss + {loss}"]
        body += [f"if step % {every} == {every - 1}:", *_indented(*_STEP, *cut)]
    lines = [
        f"cell, head = {made}, nn.Linear(3, 1)",
        "optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)",
        *(["def train():"] if (inside := random.random() < 0.4) else []),
        *_indented(f"h = {start}", "loss = 0", random.choice(_LOOPS), *_indented(*body), by=int(inside)),
        *(["train()"] if inside else []),
    ]
    return HEAD + "\n".join(lines) + "\n"


def _indented(*lines: str, by: int = 1) -> list[str]:
    return ["    " * by + part for line in lines for part in line.split("\n")]
