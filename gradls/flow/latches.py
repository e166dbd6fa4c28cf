"""What is done once: branches on a tensor of an object that change this very tensor, as layers have that look at their
first batch (`if not self.initialized: ...; self.initialized.fill_(1)`)."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.values import Instance, Tensor

if TYPE_CHECKING:
    from gradls.flow.run import Run


class Latch:
    """The tensor that an `if` looks at, and the branch on which it is zero. What changes it there has it taken once."""

    __slots__ = ("holder", "key", "name", "once", "tensor", "writes")

    def __init__(self, holder: Instance, name: str, tensor: Tensor, once: bool, statement: ast.If) -> None:
        self.holder, self.name, self.tensor, self.once = holder, name, tensor, once
        self.key = ("latch", statement)
        self.writes = tensor.writes

    @property
    def closed(self) -> bool:
        """Has the branch been taken, or is it certain that it was before?"""
        return self.key in self.holder.fields

    def leave(self, run: Run, taken: bool) -> None:
        """At the end of a branch."""
        changed = self.holder.fields.get(self.name) is not self.tensor or self.tensor.writes != self.writes
        if taken is self.once and changed:
            run.state.set(self.holder.fields, self.key, True)


def latch(run: Run, statement: ast.If) -> Latch | None:
    """The latch that an `if` may be, before one of its branches is taken."""
    test, once = statement.test, False
    if type(test) is ast.UnaryOp and type(test.op) is ast.Not:
        test, once = test.operand, True
    elif type(test) is ast.Compare and len(test.ops) == 1 and type(test.comparators[0]) is ast.Constant:
        if type(test.ops[0]) is not ast.Eq or test.comparators[0].value != 0:
            return None
        test, once = test.left, True
    if type(test) is ast.Call and not test.args and type(test.func) is ast.Attribute and test.func.attr == "item":
        test = test.func.value
    holder = run.frame.receiver
    if type(test) is not ast.Attribute or type(test.value) is not ast.Name or not isinstance(holder, Instance):
        return None
    tensor = holder.fields.get(test.attr)
    if not isinstance(tensor, Tensor) or run.frame.scope.fields.get(test.value.id) != holder:
        return None
    return Latch(holder, test.attr, tensor, once, statement)
