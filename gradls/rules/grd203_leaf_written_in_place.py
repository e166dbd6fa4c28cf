"""GRD203."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.freed_graph_fixes import block_of
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import new_tensor_instead, shown, statement_of
from gradls.rules.words import place


class LeafWrittenInPlace(Rule):
    """A leaf that requires grad is written in place.

    ## What it finds
    An in-place operation, with grad mode on, on a tensor that you made and that requires grad: a parameter, or a tensor
    made with `requires_grad=True`. A write to a part of it, or through a view of it, counts too.

    ## Why it matters
    The gradient of a leaf is for the value that it had when it was made. If autograd recorded a write to it, it would
    be the result of an operation, and there would be no leaf left to hold the gradient.

    ## What PyTorch does
    The write raises

        RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.

    or, for a part of it, `a view of a leaf Variable that requires grad is being used in an in-place operation.`

    ## Example
    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    (w - 1).pow(2).sum().backward()
    w -= 0.1 * w.grad  # raises RuntimeError: a leaf Variable that requires grad
    ```

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    layer.weight[0, 0] = 1.0  # raises RuntimeError: a view of a leaf Variable that requires grad
    ```

    ## Use instead
    For an update or an initial value, `torch.no_grad()`: the tensor stays a leaf. For a value that takes part in the
    gradient, an operation that makes a new tensor.

    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    (w - 1).pow(2).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
    w.grad = None
    assert w.is_leaf and w.requires_grad
    ```

    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    first = torch.tensor([True, False, False])
    torch.where(first, torch.ones(3), w).sum().backward()
    assert w.grad.tolist() == [0, 1, 1]
    ```

    ## When it is silent
    Under `torch.no_grad()`, for `torch.nn.init` (which uses it), on `detach()` and `.data`, on copies, and on leaves
    that do not require grad.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    torch.nn.init.zeros_(layer.bias)
    layer.weight.detach().fill_(1.0)
    x = torch.zeros(2, 3)
    x[0] = 1
    assert layer(x).tolist() == [[3.0], [0.0]]
    ```

    ## Fix safety
    Safe where what is written has no gradient, as in an update by hand or an initial value: that is what `no_grad` is
    for. Suggested otherwise, for then the gradient of the written value may be wanted.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-operations-with-autograd
    - https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
    """

    code, name, severity = "GRD203", "leaf-written-in-place", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("leaf-write"):
            if not event.caught and isinstance(event.value, Tensor):
                yield self.report(facts, event, event.value)

    def report(self, facts: Facts, event: Event, leaf: Tensor) -> Finding:
        what = f"`{leaf.name}`" if leaf.name else "a tensor"
        kind = "a parameter" if leaf.is_parameter else "a leaf that requires grad"
        part = "a view of " if event.view else ""
        message = f"{shown(facts, event.at)} writes to {part}{what}, {kind}, in place: it raises"
        if event.constant:
            message += f". Update it under `with {facts.torch_name}.no_grad():`"
        else:
            message += ". Make a new tensor, or write under `torch.no_grad()` if no gradient is meant to flow"
        where = Place(event.at.source, statement_of(facts, event.at))
        story = [Step(place(leaf.node.at), "it is made here")] if leaf.node.at is not None else []
        safety = Safety.SAFE if event.constant and _is_statement(facts, where.node) else Safety.SUGGESTED
        first, last = _with_neighbours(facts, where, bool(event.constant))
        build = edits.wrap_in_no_grad(first, facts.torch_name, last=last)
        fixes = [Fix("Write under `no_grad`", safety, build)]
        if not event.constant and not leaf.is_parameter and isinstance(where.node, ast.AugAssign):
            fixes = new_tensor_instead(facts, where, Safety.SUGGESTED) or fixes
        message, severity = if_recorded(event, message, self.severity)
        return self.finding(where, message, story, fixes, severity)


def _with_neighbours(facts: Facts, where: Place, constant: bool) -> tuple[Place, Place]:
    """The first and the last of the statements around one that write to leaves in the same way: they raise, too."""
    statement = facts.statement(where.node)
    if statement is None or not constant:
        return where, where
    writing: set[ast.stmt | None] | None = facts.memo.get("leaf writes")
    if writing is None:
        events = (event for event in facts.of("leaf-write") if event.constant and not event.caught)
        writing = facts.memo["leaf writes"] = {facts.statement(event.at.node) for event in events}
    block = block_of(facts, statement)
    first = last = next(number for number, item in enumerate(block) if item is statement)
    while first and block[first - 1] in writing:
        first -= 1
    while last + 1 < len(block) and block[last + 1] in writing:
        last += 1
    return Place(where.source, block[first]), Place(where.source, block[last])


def _is_statement(facts: Facts, node: ast.AST) -> bool:
    """Does a statement do this and nothing else?"""
    return isinstance(node, ast.stmt) or isinstance(facts.parent(node), ast.Expr)
