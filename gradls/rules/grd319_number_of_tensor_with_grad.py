"""GRD319."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.rules import edits
from gradls.rules.conditions import UNLESS
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class NumberOfTensorWithGrad(Rule):
    """`float()` of a tensor that requires grad.

    ## What it finds
    `float()` or a function of `math` on a tensor that requires grad.

    ## Why it matters
    The result is a plain number, without a gradient. `float()` does not say so, and PyTorch warns of it: `item()` does
    the same and says what is meant.

    ## What PyTorch does
    It warns, once

        UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
        Consider using tensor.detach() first.

    ## Example
    ```python
    import torch

    loss = torch.nn.Linear(3, 1)(torch.randn(8, 3)).pow(2).mean()
    print(float(loss))  # warns UserWarning: Converting a tensor with requires_grad=True to a scalar
    ```

    ## Use instead
    `item()`.

    ```python
    import math
    import torch

    loss = torch.nn.Linear(3, 1)(torch.randn(8, 3)).pow(2).mean()
    assert math.exp(loss.item()) >= 1
    ```

    ## When it is silent
    For `item()`, for text such as `f"{loss:.3f}"`, and under `no_grad`.

    ```python
    import torch

    loss = torch.nn.Linear(3, 1)(torch.randn(8, 3)).pow(2).mean()
    assert float(loss.detach()) == loss.item()
    print(f"{loss:.3f}")
    ```

    ## Fix safety
    Suggested: `float(x)` becomes `float(x.detach())`.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.item.html
    """

    code, name, severity = "GRD319", "number-of-tensor-with-grad", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[ast.AST] = set()
        for event in facts.of("to-number"):
            if event.info.get("name") not in ("float", "complex", "math", "__float__") or event.at.node in told:
                continue
            if event.info.get("apart"):
                continue  # What autograd calls runs with gradients off, and then PyTorch does not warn.
            if event.info.get("requires_grad") is True and not event.caught:
                told.add(event.at.node)
                yield self._report(facts, event)

    def _report(self, facts: Facts, event: Event) -> Finding:
        condition = UNLESS if event.hypothetical else ""
        message = (
            f"{code(facts, event.at.node)} makes a plain number of a tensor that requires grad, and PyTorch warns"
            f"{condition}: write `.item()`"
        )
        node = event.at.node
        fixes = []
        if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.args[0], (ast.Name, ast.Attribute)):
            edit = edits.add_call(place(event.at)._replace(node=node.args[0]), ".detach()")
            fixes.append(Fix("Detach it first", Safety.SUGGESTED, edit))
        return self.finding(place(event.at), message, (), fixes)
