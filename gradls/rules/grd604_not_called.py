"""GRD604."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.values import Bound, Instance, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Tag
from gradls.rules.loss_arguments import is_used_as_module
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_WITHOUT_ARGUMENTS = frozenset(("backward", "step", "zero_grad", "train", "eval", "update", "detach_", "zero_", "cuda"))
_TELLING = frozenset(("backward", "zero_grad"))
"""Methods that only tensors, modules and optimizers have: they need no known receiver."""


class NotCalled(Rule):
    """A method that is only mentioned, because the parentheses are missing.

    ## What it finds
    A statement that consists of a method without a call, such as `optimizer.step` or `loss.backward`.

    ## Why it matters
    The statement does nothing: no gradient is computed, no step is taken, the model stays in its mode.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step
    assert torch.equal(model.weight, before)
    ```

    ## Use instead
    The call.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert not torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the method is used as a value: given to another function, or kept under a name.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    finish = optimizer.step
    model(torch.randn(8, 3)).pow(2).mean().backward()
    finish()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Safe: a bare method has no other meaning.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html
    """

    code, name, severity = "GRD604", "not-called", Severity.WARNING
    tag = Tag.UNNECESSARY
    of_value = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("statement"):
            node = event.at.node
            if event.caught:
                continue  # It is to find out whether there is such an attribute.
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Attribute) and _is_method(facts, event.value):
                yield self._report(facts, event, node.value)

    def _report(self, facts: Facts, event: Event, node: ast.Attribute) -> Finding:
        at = Place(event.at.source, node)
        message = f"{code(facts, node)} is not called, and the statement does nothing: add the parentheses"
        fixes = []
        if node.attr in _WITHOUT_ARGUMENTS:
            fixes.append(Fix("Call it", Safety.SAFE, edits.add_call(at, "()")))
        return self.finding(place(event.at), message, (), fixes)


def _is_method(facts: Facts, value: Value | None) -> bool:
    """Is it a method of a tensor, a module, an optimizer, a scheduler or a scaler?"""
    if isinstance(value, Bound):
        receiver = value.receiver
        if isinstance(receiver, Tensor):
            return True
        if isinstance(receiver, Instance):
            return is_module(receiver) is True or receiver.path.startswith(
                ("torch.optim.", "torch.amp.", "torch.cuda.amp.")
            )
        return isinstance(receiver, Unknown) and value.name in _TELLING
    if not isinstance(value, Unknown) or value.origin != "attribute":
        return False
    return value.name in _TELLING or _is_told_by_others(facts, value)


def _is_told_by_others(facts: Facts, method: Unknown) -> bool:
    """Is the method of an unknown value one of an optimizer or module, by what else is done with the value?"""
    owner = method.fields.get("of")
    if not isinstance(owner, Unknown):
        return False
    if method.name == "step":
        return "zero_grad" in owner.fields or "param_groups" in owner.fields
    called = any(event.value is owner for event in facts.of("unknown-call"))
    return method.name in ("eval", "train") and (called or is_used_as_module(facts, owner))
