"""Random programs that train: modules and what they hold, freezing, optimizers, rounds, grad modes."""

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
    "b": ("True", "False", "many", "not many"),
    "o": ("torch.randn(4, 3)", "<m>(torch.randn(4, 3))", "<m>(<o>)", "<o>.tanh()", "<o>.detach()", "(<o> + <o>)"),
    "l": ("<o>.mean()", "<o>.pow(2).sum()", "F.mse_loss(<o>, torch.zeros(4, 3))", "(<o>.sum() + <o>.mean())"),
    "m": (),
    "t": (),
}
_MEMBERS = (
    ("nn.Linear(3, 3)", "x = {}(x)"),
    ("nn.Linear(3, 3, bias=False).requires_grad_(<b>)", "x = {}(x)"),
    ("nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.LayerNorm(3))", "x = {}(x)"),
    ("nn.Linear(3, 3) if <b> else None", "if {} is not None: x = {}(x)"),
    ("nn.Parameter(torch.randn(3), requires_grad=<b>)", "x = x * {}"),
    ("torch.randn(3, requires_grad=True)", "x = x + {}"),
    ("nn.ParameterList([torch.randn(3), nn.Parameter(torch.randn(3))])", "for p in {}: x = x + p"),
    ("nn.ParameterDict({'u': torch.randn(3)})", "x = x * {}['u']"),
    ("nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])", "for part in {}: x = part(x)"),
    ("nn.ModuleDict({'u': nn.Linear(3, 3), 'v': nn.Identity()})", "x = {}['u' if <b> else 'v'](x)"),
    ("[nn.Linear(3, 3)]", "x = {}[0](x)"),
)
_INSIDE = (
    "{}", "{}", "{}", "with torch.no_grad(): {}", "if many: {}", "if self.training: {}", "if not self.training: {}",
    "{}; x = x.detach()",
)  # fmt: skip
_FREEZES = (
    "{}.requires_grad_(<b>)", "for p in {}.parameters(): p.requires_grad = <b>", "{}.eval()", "{}.train(<b>)",
    "for n, p in {}.named_parameters(): p.requires_grad = 'weight' in n", "next({}.parameters()).requires_grad_(<b>)",
)  # fmt: skip
_GIVEN = (
    "{}.parameters()", "[*{}.parameters()]", "[p for p in {}.parameters() if p.requires_grad]",
    "[{'params': {}.parameters()}, {'params': [torch.zeros(1, requires_grad=True)]}]",
)  # fmt: skip
_ORDERS = (
    ("zero", "loss", "back", "step"), ("loss", "zero", "back", "step"), ("loss", "back", "step", "zero"),
    ("loss", "back", "zero", "step"), ("loss", "back"), ("loss", "back", "freeze", "zero"),
)  # fmt: skip
_ZEROS = ("<t>.zero_grad()", "<m>.zero_grad()", "<t>.zero_grad(set_to_none=False)", "if many: <t>.zero_grad()")
_BACKS = ("{0}.backward()", "if {0}.requires_grad: {0}.backward()", "if many and {0}.requires_grad: {0}.backward()")
_BLOCKS = ("for _ in range(2):", "for _ in range(3):", "if many:", "with torch.enable_grad():")


class Training(Program):
    """One of them; `text` is complete when it is made. It may raise."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, EXPRESSIONS, deepest=3)
        for _ in range(random.randint(1, 2)):
            self.network()
        for _ in range(random.randint(0, 2)):
            self.freeze()
        self.optimizer()
        for _ in range(random.randint(1, 2)):
            self.block(random.choice(_BLOCKS), self.round)
            self.freeze()

    def expression(self, sort: str, depth: int = 0) -> str:
        return self.known("m") or "" if sort == "m" else super().expression(sort, depth)

    def network(self) -> None:
        """A class of modules and one of these."""
        name, model = self.name("Net"), self.name("m")
        members = [(self.name("self.part"), *self.random.choice(_MEMBERS)) for _ in range(self.random.randint(1, 4))]
        self.write(f"class {name}(nn.Module):")
        self.indent += 1
        self.write("def __init__(self):")
        self.indent += 1
        self.write("super().__init__()")
        for member, made, _ in members:
            self.write(self.fill(f"{member} = {made}"))
        self.indent -= 1
        self.write("def forward(self, x):")
        self.indent += 1
        for member, _, used in members:
            head, colon, rest = self.fill(used.replace("{}", member)).rpartition(": ")
            inside = self.random.choice(_INSIDE) if not colon else "{}"
            self.write(inside.replace("{}", head + colon + rest))
        self.write("return x")
        self.indent -= 2
        self.write(f"{model} = {name}()")
        self.names["m"].append(model)

    def freeze(self) -> None:
        self.write(self.fill(self.random.choice(_FREEZES).replace("{}", self.known("m") or "")))

    def optimizer(self) -> None:
        name, kind = self.name("t"), self.random.choice(("SGD", "Adam"))
        given = self.random.choice(_GIVEN).replace("{}", self.known("m") or "")
        self.write(f"{name} = torch.optim.{kind}({given}, lr=0.1)")
        self.names["t"].append(name)

    def round(self) -> None:
        loss = self.name("l")
        for part in self.random.choice(_ORDERS):
            if part == "loss":
                self.write(f"{loss} = {self.expression('l')}")
            elif part == "back":
                self.write(self.random.choice(_BACKS).format(loss))
            elif part == "step":
                self.write(f"{self.known('t')}.step()")
            elif part == "zero":
                zero = self.random.choice(_ZEROS).replace("<t>", self.known("t") or "")
                self.write(zero.replace("<m>", self.known("m") or ""))
            else:
                self.freeze()
