"""GRD201."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import keeper_step, kept, maker, new_tensor_instead, statement_of, written
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class WrittenBeforeBackward(Rule):
    """A tensor that backward still needs is overwritten.

    ## What it finds
    An in-place operation (`x += y`, `x.mul_(y)`, `x[i] = y`, a layer with `inplace=True`) on a tensor that an earlier
    operation keeps for backward, where that backward comes later. In a function that nobody in the file calls, it is
    enough that a backward of the result would raise: then it is information.

    ## Why it matters
    To compute a gradient, many operations need their input or their result once more: `exp`, `sigmoid`, `tanh`, `sqrt`,
    `softmax` and `relu` need their result, `pow`, `log` and `matmul` their inputs. A tensor that is overwritten in
    between would give a wrong gradient, so autograd refuses.

    ## What PyTorch does
    Nothing at the write. The backward raises

        RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation

    and names neither the write nor the operation that needed the old value.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 3)
    x = torch.randn(8, 3)
    out = torch.relu(model(x))
    out += x
    out.sum().backward()  # raises RuntimeError: modified by an inplace operation
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sigmoid(), torch.nn.ReLU(inplace=True))
    loss = model(torch.randn(8, 3)).sum()
    loss.backward()  # raises RuntimeError: modified by an inplace operation
    ```

    ```python
    import torch

    w = torch.randn(2, 2, requires_grad=True)
    steps = torch.ones(4, 2)
    for t in range(1, 4):
        steps[t] = torch.tanh(steps[t - 1] @ w)
    steps.sum().backward()  # raises RuntimeError: modified by an inplace operation
    ```

    ## Use instead
    The form that makes a new tensor; for a tensor that is filled row by row, a list and `torch.stack`.

    ```python
    import torch

    model = torch.nn.Linear(3, 3)
    x = torch.randn(8, 3)
    out = torch.relu(model(x))
    out = out + x
    out.sum().backward()
    assert model.weight.grad is not None
    ```

    ```python
    import torch

    w = torch.randn(2, 2, requires_grad=True)
    steps = [torch.ones(2)]
    for _ in range(3):
        steps.append(torch.tanh(steps[-1] @ w))
    torch.stack(steps).sum().backward()
    assert w.grad is not None
    ```

    ## When it is silent
    For writes that autograd accepts: `add`, `sum`, `mean`, `view` and many others need nothing of their tensors, a
    `clone` has memory of its own, in-place activations like `relu_` behind a convolution or a linear layer overwrite
    what nobody needs, and after the backward everything may be overwritten.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(inplace=True), torch.nn.Linear(3, 1))
    x = torch.randn(8, 3)
    out = model(x) + 1
    out *= 2
    out.sum().backward()
    out.zero_()
    assert model[0].weight.grad is not None
    ```

    ## Fix safety
    Safe where the name is only bound anew (`x += y` becomes `x = x + y`, `inplace=True` goes); suggested where the
    tensor is a view of another one, which would no longer be changed, for numbers that are written where a comparison
    holds, and for rows that a loop writes: what it reads of them is cloned.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks
    """

    code, name, severity = "GRD201", "written-before-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("stale-saved"):
            if event.write.stepper is None and event.write.certain is not None and not event.caught:
                raises = f"{code(facts, event.at.node)} raises"
                last = Step(place(event.at), "this backward needs the value from before the write")
                yield self.report(facts, event, raises, last, Severity.ERROR)
        for event in facts.of("stale-return"):
            if event.write.stepper is None and event.write.certain is not None and not event.caught:
                last = Step(place(event.at), "a backward of what this returns raises")
                yield self.report(facts, event, "a backward of the result raises", last, Severity.INFORMATION)

    def report(self, facts: Facts, event: Event, raises: str, last: Step, severity: Severity) -> Finding:
        write, saved, node = event.write, event.saved, event.node
        at = write.layer or write.at
        keeper = maker(facts, node) if node is not None else "an operation"
        what = kept(saved)
        needed = f"the result of {keeper}" if what == "its result" else f"{what if '`' in what else 'a tensor'}"
        by = "which backward needs" if what == "its result" else f"which {keeper} keeps for backward"
        if node is not None and node.layer is None and node.at == write.at:
            by = "which it keeps for backward itself"
        message = f"{written(facts, write)} overwrites {needed}, {by}: {raises}"
        if not write.certain:
            message += ", in training and with a rate above 0"
            severity = Severity.INFORMATION
        story = [keeper_step(facts, event)]
        if write.layer is not None:
            story.append(Step(place(write.at), "it is overwritten here"))
        story.append(last)
        where = Place(at.source, statement_of(facts, at))
        return self.finding(where, message, [step for step in story if step], self.fixes(facts, event, where), severity)

    def fixes(self, facts: Facts, event: Event, where: Place) -> list[Fix]:
        write, tensor = event.write, event.saved.tensor
        if write.layer is not None:
            if isinstance(facts.parent(write.at.node), ast.Expr):
                return []  # it is there for what it writes
            return [Fix("Take `inplace=True` out", Safety.SAFE, edits.out_of_place(where))]
        if isinstance(where.node, ast.Assign):
            return _masked(facts, where) or _cloned_reads(facts, where, event)
        whole = isinstance(where.node, ast.AugAssign) and isinstance(where.node.target, ast.Name)
        alone = tensor is not None and tensor.base is None and len(tensor.family["views"]) == 1
        safety = Safety.SAFE if whole and alone else Safety.SUGGESTED
        return new_tensor_instead(facts, where, safety)


def _masked(facts: Facts, where: Place) -> list[Fix]:
    """`x[mask] = 0.0` becomes `x = x.masked_fill(mask, 0.0)`, where the mask is a comparison."""
    statement = where.node
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Subscript):
        return []
    if not isinstance(target.value, (ast.Name, ast.Attribute)) or not isinstance(target.slice, ast.Compare):
        return []
    number = statement.value.operand if isinstance(statement.value, ast.UnaryOp) else statement.value
    if not isinstance(number, ast.Constant) or not isinstance(number.value, (int, float)):
        return []
    held, mask, value = map(facts.segment, (target.value, target.slice, statement.value))
    build = edits.together(
        edits.replace_expression(Place(where.source, target), held),
        edits.replace_expression(Place(where.source, statement.value), f"{held}.masked_fill({mask}, {value})"),
    )
    return [Fix("Make a new tensor with `masked_fill`", Safety.SUGGESTED, build)]


def _cloned_reads(facts: Facts, where: Place, event: Event) -> list[Fix]:
    """A loop that writes one row of a tensor after the other, and computes it from those before: what it reads of it is
    cloned, so that backward has a tensor of its own to keep."""
    target = where.node.targets[0] if isinstance(where.node, ast.Assign) else None
    loop = next((outer for outer in facts.parents(where.node) if isinstance(outer, (ast.For, ast.While))), None)
    held = target.value if isinstance(target, ast.Subscript) else None
    inputs = [edge.node.at.node for edge in event.node.edges if edge.node.at is not None] if event.node else []
    if loop is None or not isinstance(held, ast.Name):
        return []
    reads = [
        part
        for part in walk(loop)
        if isinstance(part, ast.Subscript)
        and isinstance(part.ctx, ast.Load)
        and isinstance(part.value, ast.Name)
        and part.value.id == held.id
    ]
    if not any(read in inputs for read in reads):
        return []
    build = edits.together(*(edits.add_call(Place(where.source, read), ".clone()") for read in reads))
    return [Fix(f"Clone what is read of `{held.id}`", Safety.SUGGESTED, build)]
