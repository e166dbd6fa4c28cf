"""GRD614."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import walk
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Place, Severity, Step, Tag
from gradls.rules.rule import Rule
from gradls.rules.words import place


class UnusedLoss(Rule):
    """A term of a loss that is computed and goes into no loss.

    ## What it finds
    In a function or loop that calls `backward()`, a single number that requires grad, is bound to a name, and is never
    used: a penalty or a regularizer that somebody forgot to add.

    ## Why it matters
    It costs time and memory, and trains nothing.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3, requires_grad=True)
    output = model(inputs)
    (gradient,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    loss = output.mean()
    loss.backward()
    assert torch.allclose(model.weight.grad, inputs.mean(0))  # as if there were no penalty
    ```

    ## Use instead
    Add it to the loss.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3, requires_grad=True)
    output = model(inputs)
    (gradient,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    loss = output.mean() + 10 * penalty
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    Where the number is used in any way, be it printed.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    output = model(torch.randn(8, 3))
    size = output.abs().mean()
    output.pow(2).mean().backward()
    print(size.item())
    assert model.weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    """

    code, name, severity = "GRD614", "unused-loss", Severity.INFORMATION
    tag = Tag.UNNECESSARY
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        backwards = [event for event in facts.of("backward") if event.node is not None]
        if not backwards:
            return
        for node in dict.fromkeys(facts.each(_losses)):
            records = facts.evaluations(node)
            values = [value for _, _, value in records if isinstance(value, Tensor) and _is_loss(value)]
            target = _target(facts, _scaled(facts, node))
            if target is None:
                continue
            read = facts.source.index(_name_read)
            if len(values) == len(records) and target.id not in read and not target.id.startswith("_"):
                backward = _beside(facts, node, backwards)
                if backward is not None and not _is_differentiated(values, backwards):
                    yield self._report(facts, target, backward)

    def _report(self, facts: Facts, target: ast.Name, backward: Event) -> Finding:
        message = f"`{target.id}` has a gradient and is used nowhere: it trains nothing; is it missing from the loss?"
        return self.finding(
            Place(facts.source_of(target), target), message, [Step(place(backward.at), "this goes without it")]
        )


def _losses(facts: Facts) -> Iterator[ast.Call]:
    """The calls that give a loss."""
    for node, records in facts.calls.items():
        if any(isinstance(value, Tensor) and _is_loss(value) for _, _, value in records):
            yield node


def _name_read(node: ast.AST) -> Iterator[tuple[str, ast.Name]]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
        yield node.id, node


def _scaled(facts: Facts, node: ast.expr) -> ast.expr:
    """What a call's result is a factor or a term of, with numbers: `0.01 * weight.abs().sum()`."""
    outer = facts.parent(node)
    while isinstance(outer, ast.BinOp):
        other = outer.left if outer.right is node else outer.right
        if any(isinstance(part, ast.Call) or facts.is_tensor(part) for part in ast.walk(other)):
            return node
        node, outer = outer, facts.parent(outer)
    return node


def _target(facts: Facts, node: ast.expr) -> ast.Name | None:
    """The one name that the value of an expression is bound to."""
    statement = facts.parent(node)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0]
    return None


def _is_loss(value: Tensor) -> bool:
    """A single number with a graph of its own."""
    return value.requires_grad is True and value.leaf is False and value.node.scalar is True


def _beside(facts: Facts, node: ast.Call, backwards: list[Event]) -> Event | None:
    """A backward in the same function, or in the same part of the script."""
    around = _function(facts, node)
    return next((event for event in backwards if _function(facts, event.at.node) is around), None)


def _function(facts: Facts, node: ast.AST) -> ast.AST | None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return next((outer for outer in facts.parents(node) if isinstance(outer, functions)), None)


def _is_differentiated(values: list[Tensor], backwards: list[Event]) -> bool:
    nodes = {value.node for value in values}
    return any(part in nodes for event in backwards for part in walk(event.node))  # type: ignore[arg-type]
