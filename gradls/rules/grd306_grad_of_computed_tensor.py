"""GRD306."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.freed_graph_fixes import block_of
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.updates import is_cleared, update_of
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class GradOfComputedTensor(Rule):
    """The gradient of a computed tensor is read, and it is None.

    ## What it finds
    `.grad` of a tensor that an operation computed, without a `retain_grad()` before: an intermediate result, a leaf
    that a conversion (`.to(torch.float64)`, `.cuda()`) or a product has turned into a result, or a weight that
    `w = w - lr * w.grad` has bound to a new tensor. An error if the None is then used, else a warning; as
    information, if the tensor was given to something unknown, a model say, which could call `retain_grad()` on it.

    ## Why it matters
    Backward leaves gradients only in leaves: the tensors that were made, not computed. In between it drops them.

    ## What PyTorch does
    It warns

        UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.

    and gives None. What is done with the None raises, for example

        AttributeError: 'NoneType' object has no attribute 'zero_'

    ## Example
    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    for _ in range(2):
        (w - 1).pow(2).sum().backward()
        w = w - 0.1 * w.grad  # raises TypeError: unsupported operand
    ```

    ```python
    import torch

    x = torch.randn(3, requires_grad=True).to(torch.float64)
    x.pow(2).sum().backward()
    x.grad.zero_()  # raises AttributeError: 'NoneType' object has no attribute 'zero_'
    ```

    ```python
    import torch

    hidden = torch.nn.Linear(3, 4)(torch.randn(8, 3))
    hidden.relu().sum().backward()
    assert hidden.grad is None
    saliency = hidden.grad
    ```

    ## Use instead
    `retain_grad()` before the backward for an intermediate result. For a leaf, the conversion first, and an update in
    place under `no_grad`.

    ```python
    import torch

    hidden = torch.nn.Linear(3, 4)(torch.randn(8, 3))
    hidden.retain_grad()
    hidden.relu().sum().backward()
    assert hidden.grad is not None
    ```

    ```python
    import torch

    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        (w - 1).pow(2).sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    assert w.is_leaf
    ```

    ## When it is silent
    Where the tensor may be a leaf, where `.grad` is only compared with None, and after `retain_grad()`.

    ```python
    import torch

    y = (torch.ones(3, requires_grad=True) * 2).sum()
    y.backward()
    detached = y.detach()
    assert detached.grad is None
    ```

    ## Fix safety
    Suggested: `retain_grad()` behind the statement that binds the tensor, where that is in the same function; for a
    leaf that is bound to its updated value, the update in place under `no_grad`, and a gradient that starts at None
    again.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.retain_grad.html
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_leaf.html
    """

    code, name, severity = "GRD306", "grad-of-computed-tensor", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        used: set[At] = set()
        told: set[ast.AST] = set()
        for event in facts.of("missing-grad-used"):
            if _is_computed(event):
                used.add(event.read)
                if not event.caught:
                    yield self.report(facts, event, True)
        for event in facts.of("grad-read"):
            compared = _is_compared(facts, event.at.node)
            if event.missing and _is_computed(event) and not (compared or event.caught or event.at in used):
                yield self.report(facts, event, False)
            elif event.shared and not (compared or event.caught) and event.at.node not in told:
                told.add(event.at.node)
                yield self.report_shared(facts, event)

    def report_shared(self, facts: Facts, event: Event) -> Finding:
        """Other code has the tensor, and could have asked it to keep its gradient."""
        tensor = event.value
        assert isinstance(tensor, Tensor)
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        made = tensor.node.at
        how = f", computed by {shown(facts, made)}" if made is not None else ""
        message = (
            f"{what} is no leaf{how}: its `.grad` is None, unless what it was given to calls `retain_grad()` on it. "
            f"{_instead(facts, event, tensor)}"
        )
        story = [Step(place(made), "here it becomes the result of an operation")] if made is not None else []
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def report(self, facts: Facts, event: Event, used: bool) -> Finding:
        tensor = event.value
        assert isinstance(tensor, Tensor)
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        made = tensor.node.at
        how = f", computed by {shown(facts, made)}" if made is not None else ""
        consequence = (
            f"so {code(facts, _whole(facts, event.at.node))} raises" if used else "so there is nothing to read"
        )
        message = f"{what} is no leaf{how}: its `.grad` is None, {consequence}. {_instead(facts, event, tensor)}"
        story = [Step(place(made), "here it becomes the result of an operation")] if made is not None else []
        if used and event.read != event.at and event.read.node is not event.at.node:
            story.append(Step(place(event.read), "`.grad` is read here"))
        severity = Severity.ERROR if used else Severity.WARNING
        return self.finding(place(event.at), message, story, _fixes(facts, event, tensor), severity)


def _fixes(facts: Facts, event: Event, tensor: Tensor) -> list[Fix]:
    """An update of a leaf in place, or `retain_grad()` behind the statement that binds the tensor."""
    made = tensor.node.at
    statement = facts.statement(made.node) if made is not None else None
    if made is not None and statement is not None and update_of(statement):
        where = Place(made.source, statement)
        build = edits.update_in_place(where, facts.torch_name, not is_cleared(facts, statement))
        return [Fix("Update it in place", Safety.SUGGESTED, build)]
    read = event.read.node if event.info.get("read") is not None else event.at.node
    held = read.value if isinstance(read, ast.Attribute) else None
    if not isinstance(held, ast.Name):
        return []
    bound = _bound_before(facts, read, held.id)
    if bound is None or any(_calls_backward(part) for part in walk(bound)):
        return []
    build = edits.insert_after(Place(facts.source_of(bound), bound), f"{facts.segment(held)}.retain_grad()")
    return [Fix("Call `retain_grad()` on it", Safety.SUGGESTED, build)]


def _bound_before(facts: Facts, node: ast.AST, name: str) -> ast.stmt | None:
    """The last statement before a node, in its block or one around it, that binds a name. None if that may be another
    one, by branch."""
    statement = facts.statement(node)
    while statement is not None and not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for other in reversed(block_of(facts, statement)[: _position(facts, statement)]):
            if any(isinstance(part, ast.Name) and part.id == name for part in walk(other) if _stores(part)):
                return other if isinstance(other, (ast.Assign, ast.AnnAssign)) else None
        outer = facts.parent(statement)
        statement = outer if isinstance(outer, ast.stmt) else None
    return None


def _position(facts: Facts, statement: ast.stmt) -> int:
    return next(n for n, item in enumerate(block_of(facts, statement)) if item is statement)


def _stores(part: ast.AST) -> bool:
    return isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)


def _calls_backward(part: ast.AST) -> bool:
    return isinstance(part, ast.Attribute) and part.attr == "backward"


def _whole(facts: Facts, node: ast.AST) -> ast.AST:
    """The call of an attribute, or the attribute alone."""
    outer = facts.parent(node)
    return outer if isinstance(outer, ast.Call) and outer.func is node else node


def _is_compared(facts: Facts, node: ast.AST) -> bool:
    """Is it only asked whether it is None, by a comparison or as a test does?"""
    outer = facts.parent(node)
    if isinstance(outer, ast.Call) and node in outer.args[:1]:
        return isinstance(outer.func, ast.Attribute) and outer.func.attr in ("assertIsNone", "assertIsNotNone")
    return isinstance(outer, ast.Compare)


def _is_computed(event: Event) -> bool:
    return isinstance(event.value, Tensor) and event.leaf is False


def _instead(facts: Facts, event: Event, tensor: Tensor) -> str:
    """What to write, by what made the tensor."""
    node = tensor.node
    statement = facts.statement(node.at.node) if node.at is not None else None
    sources = [edge.node.leaf for edge in node.edges if edge.node.leaf is not None and edge.node.leaf.requires_grad]
    if isinstance(statement, ast.Assign) and any(leaf.name == tensor.name != "" for leaf in sources):
        return f"Update it in place, under `with {facts.torch_name}.no_grad():`"
    if node.op in ("to", "type", "cuda", "double", "half", "bfloat16", "float", "clone") and sources:
        return "Convert first and ask for the gradient then, or give `dtype` and `device` where it is made"
    return "Call `retain_grad()` on it before the backward, or use `torch.autograd.grad`"
