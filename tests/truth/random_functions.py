"""Random programs of what autograd offers: custom Functions, checkpoints, hooks, gradients of gradients."""

from __future__ import annotations

from random import Random

from tests.flow.random_programs import Program, Templates

HEAD = """\
import sys

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
many = len(sys.argv) > 9
"""
EXPRESSIONS: Templates = {
    "t": (
        "torch.randn(3, requires_grad=True)", "torch.randn(3)", "nn.Parameter(torch.randn(3))",
        "torch.ones(3, requires_grad=many)", "<t> * <t>", "<t> + <t>", "<t>.exp()", "<t> * 2", "<t>.detach()",
        "<t>.clone()", "<t>.tanh()", "<t>.view(3)", "torch.where(<t> > 0, <t>, <t>)", "<t>.sum() * torch.ones(3)",
    ),
}  # fmt: skip
_FORWARDS = ("a * 2", "a * b", "a + b", "a.clone()", "a.exp()", "a", "a.view_as(a)", "a.mul_(2)")
_CONTEXT = (
    "pass", "pass", "{}.save_for_backward(a, b)", "{}.save_for_backward(a)", "{}.save_for_backward(result)",
    "{}.mark_dirty(a)", "{}.mark_non_differentiable(result)", "{}.set_materialize_grads(False)",
)  # fmt: skip
_GRADIENTS = ("g", "g * 2", "None", "g.clone()", "-g", "g if ctx.needs_input_grad[0] else None")
_BODIES = (
    "u = u * v", "with torch.no_grad(): u = u * 2", "u = u.clone(); u.mul_(2)", "u = u.detach()", "if many: u = u * 2",
    "v = u.tanh() + v", "pass",
)  # fmt: skip
_CALLS = (
    "{}(<t>, <t>)", "checkpoint({}, <t>, <t>, use_reentrant=False)", "checkpoint({}, <t>, <t>, use_reentrant=True)",
)  # fmt: skip
_OPTIONS = ("", ", create_graph=True", ", retain_graph=True", ", allow_unused=True", ", materialize_grads=True")
_GRADS = ("torch.autograd.grad(<t>.sum(), <t>{})[0]", "torch.autograd.grad(<t>, <t>, <t>{})[0]")
_BACKWARDS = (
    "<t>.sum().backward()", "<t>.sum().backward(retain_graph=True)", "<t>.sum().backward(create_graph=True)",
    "<t>.backward(<t>.detach())", "<t>.sum().backward(inputs=[<t>])", "(<t> * <t>).sum().backward()",
    "torch.autograd.backward([<t>.sum(), <t>.sum()])",
)  # fmt: skip
_CHANGES = (
    "<t>.register_hook(lambda g: g * 2)", "<t>.retain_grad()", "<t>.mul_(2)", "with torch.no_grad(): <t>.mul_(2)",
    "<t>.requires_grad_()", "<t>.grad = None", "<t>.detach_()", "<t>.register_post_accumulate_grad_hook(print)",
)  # fmt: skip
_BLOCKS = ("if many:", "for _ in range(2):", "with torch.no_grad():", "with torch.enable_grad():")


class Functions(Program):
    """One of them; `text` is complete when it is made. It may raise."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, EXPRESSIONS, deepest=1)
        self.custom, self.function = self.name("Custom"), self.name("function")
        self.write_custom()
        self.write_function()
        self.new("torch.randn(3, requires_grad=True)")
        for _ in range(random.randint(4, 12)):
            self.statement()

    def new(self, expression: str) -> None:
        name = self.name("t")
        self.write(f"{name} = {expression}")
        self.names["t"].append(name)

    def method(self, head: str, *body: str) -> None:
        self.lines += ["    @staticmethod", f"    def {head}:", *(f"        {line}" for line in body)]

    def write_custom(self) -> None:
        choice = self.random.choice
        self.write(f"class {self.custom}(torch.autograd.Function):")
        result, context = f"result = {choice(_FORWARDS)}", choice(_CONTEXT).format("ctx")
        if self.random.random() < 0.3:
            self.method("forward(a, b)", result, "return result")
            self.method("setup_context(ctx, inputs, output)", "(a, b), result = inputs, output", context)
        else:
            self.method("forward(ctx, a, b)", result, context, "return result")
        read = choice(("pass", "kept = ctx.saved_tensors"))
        self.method("backward(ctx, g)", read, f"return {choice(_GRADIENTS)}, {choice(_GRADIENTS)}")

    def write_function(self) -> None:
        self.write(f"def {self.function}(u, v):")
        for _ in range(self.random.randint(1, 2)):
            self.end_block(self.random.choice(_BODIES))
        self.end_block(f"return {self.random.choice(('u * v', 'u', 'u + v', 'u.exp()'))}")

    def statement(self) -> None:
        kind = self.random.randint(0, 11)
        if kind == 0 and self.indent == 0:
            self.block(self.random.choice(_BLOCKS), self.statement)
        elif kind in (1, 2):
            self.new(self.fill(self.random.choice(_GRADS).format(self.random.choice(_OPTIONS))))
        elif kind in (3, 4, 5):
            self.new(self.fill(self.random.choice(_CALLS).format(self.function)))
        elif kind == 6:
            self.new(self.fill(f"{self.custom}.apply(<t>, <t>)"))
        elif kind == 7:
            self.write(self.fill(self.random.choice(_CHANGES)))
        elif kind in (8, 9):
            self.write(self.fill(self.random.choice(_BACKWARDS)))
        else:
            self.new(self.expression("t"))
