"""GRD305."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown, statement_of
from gradls.rules.words import place


class FlagOfComputedTensor(Rule):
    """The requires_grad flag of a computed tensor is changed.

    ## What it finds
    An assignment to `requires_grad` of a tensor that an operation computed with a graph, or `requires_grad_(False)` on
    one.

    ## Why it matters
    A computed tensor requires grad because what it was computed from does. Its flag is a result, not a switch: to get
    the values without a gradient there is `detach()`, and to keep the gradient that arrives there `retain_grad()`.

    ## What PyTorch does
    It raises

        RuntimeError: you can only change requires_grad flags of leaf variables.

    also for `= True`. Only the method `requires_grad_(True)` is accepted, and does nothing.

    ## Example
    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    hidden = layer(torch.randn(8, 3))
    hidden.requires_grad = True  # raises RuntimeError: you can only change requires_grad flags of leaf variables
    ```

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    target = layer(torch.randn(8, 3))
    target.requires_grad_(False)  # raises RuntimeError: you can only change requires_grad flags of leaf variables
    ```

    ## Use instead
    Nothing for True: the tensor requires grad already. `detach()` for False.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    hidden = layer(torch.randn(8, 3))
    hidden.retain_grad()
    target = hidden.detach()
    hidden.sum().backward()
    assert hidden.grad is not None and not target.requires_grad
    ```

    ## When it is silent
    For leaves, for results without a graph (they are leaves too), and for `requires_grad_(True)`.

    ```python
    import torch

    x = torch.randn(3) * 2
    x.requires_grad = True
    y = (x * 2).requires_grad_()
    assert y.requires_grad
    ```

    ## Fix safety
    Safe for True, which is what the tensor has. For False there is none: which uses are to be without a gradient is for
    a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.requires_grad_.html
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    code, name, severity = "GRD305", "flag-of-computed-tensor", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("requires-grad-set"):
            tensor = event.value
            if not isinstance(tensor, Tensor) or event.caught or event.before is not True:
                continue
            if event.leaf is False and (event.flag is False or (event.flag is True and not event.method)):
                yield self.report(facts, event, tensor)

    def report(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        message = f"{shown(facts, event.at)} raises: {what} is computed, and only the flag of a leaf can be changed"
        where = Place(event.at.source, statement_of(facts, event.at))
        if event.flag:
            message += ". It requires grad already"
            alone = isinstance(where.node, ast.Assign) and len(where.node.targets) == 1  # nothing else is assigned
            fixes = [Fix("Delete the assignment", Safety.SAFE, edits.delete_statement(where))] if alone else []
        else:
            message += ". Use `detach()` to get its values without a gradient"
            fixes = []
        made = event.node.at if event.node is not None else None
        message, severity = if_recorded(event, message, self.severity)
        story = [Step(place(made), "it is computed here")] if made is not None else []
        return self.finding(where, message, story, fixes, severity)
