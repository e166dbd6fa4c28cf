"""Random programs of tensors: results, writes in place, views, grad modes, functions, backward."""

from __future__ import annotations

from random import Random

from tests.flow.random_programs import Program, Templates

HEAD = """\
import sys

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
many = len(sys.argv) > 9
"""
EXPRESSIONS: Templates = {
    "t": (
        "torch.randn(3)", "torch.randn(3, requires_grad=True)", "nn.Parameter(torch.randn(3))", "torch.ones(3)",
        "torch.zeros(3, requires_grad=True)", "torch.ones(3, requires_grad=many)",
        "torch.randn_like(<t>, requires_grad=True)", "<t>.exp()", "torch.sigmoid(<t>)", "<t>.relu()",
        "(<t>.abs() + 1).sqrt()", "<t> ** 2", "<t> * 2", "-<t>", "<t>.detach()", "<t>.clone()", "<t>.data",
        "<t>.view(-1)", "<t>[:]", "<t>.softmax(0)", "<t>.round()", "<t>.sort().values", "F.dropout(<t>, 0.5)",
        "F.layer_norm(<t>, (3,))", "<t>.float()", "<t>.double().float()", "<t>.contiguous()", "<t>.cumsum(0)",
        "<t>.sum().expand(3)", "torch.tensor(<t>.tolist())", "<t>[torch.tensor([0, 1, 2])]",
        "<t>.detach().requires_grad_()", "<t>.chunk(3)[0].expand(3)", "F.normalize(<t>, dim=0)",
        "<t>.new_tensor([1.0, 2.0, 3.0])", "F.linear(<t>, torch.eye(3))", "<t> + <t>", "<t> * <t>",
        "<t> / (<t>.abs() + 1)", "torch.where(<t> > 0, <t>, <t>)", "torch.stack([<t>, <t>]).sum(0)",
        "torch.cat([<t>, <t>])[:3]", "torch.maximum(<t>, <t>)", "(<t> > <t>).float()", "torch.dot(<t>, <t>) * <t>",
        "F.mse_loss(<t>, <t>) + <t>", "(<t> if many else <t>)",
    ),
}  # fmt: skip
_CHANGES = (
    "{}.add_(<t>)", "{}.mul_(2)", "{} += <t>", "{}[0] = 0.0", "{}[:2] = <t>[:2]", "{}.zero_()", "{}.copy_(<t>)",
    "{}.relu_()", "{}.exp_()", "{}.requires_grad_(True)", "{}.requires_grad = True", "{}.data.mul_(2)",
    "{}.data = <t>.data", "{}.view(-1).mul_(2)", "{}[0].add_(1)", "F.relu({}, inplace=True)", "nn.init.zeros_({})",
    "{}.detach().mul_(3)", "{}.grad = None",
)  # fmt: skip
_BACKWARD = (
    "{}.sum().backward()", "{}.mean().backward(retain_graph=True)", "({} * <t>).sum().backward()",
    "torch.autograd.grad({}.sum(), <t>, allow_unused=True)", "{}.backward(torch.ones(3))", "float({}.sum())",
    "{}.tolist()",
)  # fmt: skip
_BLOCKS = (
    "with torch.no_grad():", "with torch.no_grad():", "with torch.enable_grad():", "with torch.set_grad_enabled(many):",
    "if many:", "if not many:", "for _ in range(2):", "if {}.grad is None:", "if {}.requires_grad:", "if {}.is_leaf:",
)  # fmt: skip


class Tensors(Program):
    """One of them; `text` is complete when it is made. It may raise."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, EXPRESSIONS, deepest=1)
        self.functions: list[str] = []
        self.assign()
        for _ in range(random.randint(4, 14)):
            self.statement()

    def statement(self) -> None:
        kinds = [self.assign] * 6 + [self.change] * 2 + [self.backward]
        if self.indent < 2:
            kinds += [self.branch, self.branch]
        if self.indent == 0:
            kinds += [self.function, self.call]
        self.random.choice(kinds)()

    def assign(self) -> None:
        name = self.known("t")
        if name is None or self.random.random() < 0.5:
            name = self.name("t")
        self.write(f"{name} = {self.expression('t')}")
        if name not in self.names["t"]:
            self.names["t"].append(name)

    def change(self) -> None:
        self.write(self.fill(self.random.choice(_CHANGES).replace("{}", self.known("t") or "")))

    def backward(self) -> None:
        self.write(self.fill(self.random.choice(_BACKWARD).replace("{}", self.known("t") or "")))

    def branch(self) -> None:
        self.block(self.random.choice(_BLOCKS).replace("{}", self.known("t") or ""), self.statement)

    def function(self) -> None:
        name, one, other = self.name("function"), self.name("t"), self.name("t")
        before, self.names = self.names, {"t": [one, other]}
        if self.random.random() < 0.25:
            self.write("@torch.no_grad()")
        self.block(f"def {name}({one}, {other}):", self.assign)
        self.names = {"t": [one, other]}
        self.indent += 1
        self.write(f"return {self.expression('t')}")
        self.indent -= 1
        self.names = before
        self.functions.append(name)

    def call(self) -> None:
        if self.functions:
            name = self.name("t")
            self.write(self.fill(f"{name} = {self.random.choice(self.functions)}(<t>, <t>)"))
            self.names["t"].append(name)
