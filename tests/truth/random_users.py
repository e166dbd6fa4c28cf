"""Random programs as users write them: a network of parts, losses, what trains it, and what goes on around that."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from tests.truth import random_users_parts as parts

Part = TypeVar("Part")

HEAD = """\
import copy
import dataclasses
import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
many = len(sys.argv) > 9
inputs, targets, labels = torch.randn(6, 4, 3), torch.randn(6, 4, 3), torch.randint(0, 3, (6, 4))


@dataclasses.dataclass
class Output:
    out: torch.Tensor
    aux: torch.Tensor = None


def freeze(module, on=True):
    for p in module.parameters():
        p.requires_grad = not on


def blend(target, source, rate=0.1):
    with torch.no_grad():
        for t, s in zip(target.parameters(), source.parameters()):
            t.lerp_(s, rate)


def penalty(critic, x):
    x = x.detach().clone().requires_grad_()
    grad, = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return (grad.norm(dim=1) - 1).pow(2).mean()


def walk(module):
    for child in module.children():
        yield from walk(child)
        yield child


"""


def program(random: Random) -> str:
    """One of them. It may raise."""
    made = _Users(random)
    made.network()
    made.setup()
    made.training()
    return HEAD + "\n".join(made.lines) + "\n"


class _Users:
    """A program that grows: the share of its `mistakes` is not the same in all. `called` is how its network is called,
    `whole` how its loss is computed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lines: list[str] = []
        self.mistakes = random.choice((0.0, 0.0, 0.2))
        self.returned, self.called = random.choice(parts.RETURNS)
        self.scheduled = self.closure = False
        self.whole = ""

    def either(self, right: Sequence[Part], wrong: Sequence[Part]) -> Part:
        return self.random.choice(wrong if self.chance(self.mistakes) else right)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def write(self, text: str, by: int = 0) -> None:
        text = text.replace("<b>", self.random.choice(("True", "False", "many")))
        self.lines += ["    " * by + line for line in text.split("\n") if line]

    def network(self) -> None:
        choice = self.random.choice
        members = [(f"self.part{number}", *choice(parts.MEMBERS)) for number in range(self.random.randint(0, 2))]
        members += [(f"self.{name}", "nn.Linear(3, 3)", "x = {}(x)") for name in ("body", "head")]
        self.write(parts.CLASS)
        for name, made, _ in members:
            self.write(f"{name} = {made}", 2)
        self.write(choice(parts.TIES) if self.chance(0.4) else "", 2)
        self.write(choice(parts.DECORATORS) if self.chance(0.1) else "", 1)
        self.write("def forward(self, x):\n    aux = x", 1)
        for name, _, used in members:
            self.write(used.format(name), 2)
            self.write(self.either(parts.INSIDE, parts.WRONG_INSIDE) if self.chance(0.35) else "", 2)
        self.write(f"return {self.returned}", 2)

    def setup(self) -> None:
        """The network, what it is trained with, and its loss."""
        choice = self.random.choice
        self.write(parts.OBJECTS)
        self.write(choice(parts.TEACHERS))
        self.write(f"criterion = nn.{choice(parts.CRITERIA)}")
        self.write(self.either(parts.FREEZES, parts.WRONG_FREEZES))
        kind = choice(parts.KINDS)
        self.closure = "LBFGS" in kind or self.chance(0.06)
        given = "net.parameters()" if "LBFGS" in kind else choice(parts.GIVEN)
        self.write(f"optimizer = torch.optim.{kind.format(given)}")
        self.write(self.either(parts.FREEZES, parts.WRONG_FREEZES) if self.chance(0.2) else "")
        scheduler = choice(parts.SCHEDULERS)
        self.scheduled = bool(scheduler)
        self.write(scheduler)
        call = self.called.format(out="out", aux="aux", net="net", x="x")
        loss = self.either(parts.LOSSES, parts.WRONG_LOSSES) + choice(parts.TERMS)
        if "goal" in loss:
            goal = self.called.format(out="goal", aux="unused", net="teacher", x="x")
            call += "\n" + (goal if self.chance(0.5) else _block("with torch.no_grad():", goal))
        self.whole = f"{call}\n{choice(parts.SUMS).replace('<l>', loss)}"
        self.write(_block("def loss_of(x, y, label):", f"{self.whole}\nreturn loss"))

    def training(self) -> None:
        """The loop: alone, in a function or in a method."""
        begin, by, end = self.random.choice((("", 0, ""), ("", 0, ""), *parts.AROUND))
        before, extra = self.either(parts.EXTRAS, parts.WRONG_EXTRAS) if self.chance(0.5) else ("", "")
        self.write(begin)
        self.write(before, by)
        head, first = self.random.choice(parts.LOOPS)
        self.write(head, by)
        self.write(f"{first.strip()}\n{self.round(extra)}", by + 1 + head.count("\n"))
        self.write(end)
        self.write(self.random.choice(parts.BEHIND) if self.chance(0.3) else "")

    def round(self, extra: str) -> str:
        choice = self.random.choice
        back = self.either(parts.BACKWARDS, parts.WRONG_BACKWARDS)
        loss = f"{self.whole}\n{extra}" if extra or "aux" in back else "loss = loss_of(x, y, label)"
        if self.chance(0.07):
            loss = _block("with torch.autocast('cpu', dtype=torch.bfloat16):", loss)
        if self.closure:
            return choice(parts.CLOSURES)
        step = "optimizer.step()\nscheduler.step()" if self.scheduled else "optimizer.step()"
        if self.chance(0.06) and back == "loss.backward()":
            back, step = parts.SCALED
        found = {
            "loss": loss,
            "back": back,
            "step": step,
            "zero": choice(parts.ZEROS),
            "after": self.either(parts.AFTER, parts.WRONG_AFTER),
            "later": self.either(parts.LATER, parts.WRONG_LATER),
        }
        order = choice(parts.ORDERS[:1] if self.chance(0.6) else parts.ORDERS).split()
        if self.chance(0.15):
            seldom = "\n".join(found[name] for name in ("after", "step", "zero"))
            return "\n".join((loss, back, _block("if step % 2 == 1:", seldom), found["later"]))
        return "\n".join(found[name] for name in order)


def _block(head: str, text: str) -> str:
    return "\n    ".join((head, *(line for line in text.split("\n") if line)))
