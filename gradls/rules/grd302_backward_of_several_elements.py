"""GRD302."""

import ast
from collections.abc import Iterator
from math import prod

from gradls.autograd.versions import COMPLEX_LOSS_RAISES, since
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import ADDITIVE, SCALING
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place


class BackwardOfSeveralElements(Rule):
    """Backward of a tensor with more than one element, without a gradient for it.

    ## What it finds
    `backward()` or `torch.autograd.grad()` of a tensor that is known to have more than one element, where no gradient
    for the result is given, or of a complex number (unless `target-torch` is before 2.1, which took its real part). A
    criterion with `reduction="none"` gives such a tensor. Where the number of elements is not certain, the message says
    so.

    ## Why it matters
    Backward computes the gradient of one number. Of several numbers it needs to be told how they are weighted.

    ## What PyTorch does
    It raises

        RuntimeError: grad can be implicitly created only for scalar outputs

    and says `only for real scalar outputs` of a complex number.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 2)
    error = (model(torch.randn(8, 3)) - torch.zeros(8, 2)) ** 2
    error.backward()  # raises RuntimeError: grad can be implicitly created only for scalar outputs
    ```

    ```python
    import torch

    model, criterion = torch.nn.Linear(3, 1), torch.nn.MSELoss(reduction="none")
    loss = criterion(model(torch.randn(8, 3)), torch.zeros(8, 1))
    loss.backward()  # raises RuntimeError: grad can be implicitly created only for scalar outputs
    ```

    ## Use instead
    A mean or sum; or the weight of each element, as `gradient=`.

    ```python
    import torch

    model = torch.nn.Linear(3, 2)
    error = (model(torch.randn(8, 3)) - torch.zeros(8, 2)) ** 2
    error.mean().backward(retain_graph=True)
    error.backward(gradient=torch.ones_like(error))
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For one element, of whatever shape, and where the shape is not known.

    ```python
    import torch

    x = torch.ones(1, 1, requires_grad=True)
    (x * 2).backward()
    assert x.grad.item() == 2
    ```

    ## Fix safety
    Suggested: the mean is what most losses use, but it might be the sum.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    """

    code, name, severity = "GRD302", "backward-of-several-elements", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("backward"):
            if isinstance(event.value, Tensor) and not event.gradient and not event.caught:
                yield from self.judge(facts, event, event.value)
        for event in facts.of("grad-call"):
            if event.call.get(2, "grad_outputs") is None and not event.call.unsure and not event.caught:
                for root in event.roots:
                    if isinstance(root, Tensor):
                        yield from self.judge(facts, event, root)

    def judge(self, facts: Facts, event: Event, root: Tensor) -> Iterator[Finding]:
        """A finding, if there may be more than one element; an error only if there certainly are."""
        if root.dtype == "complex" and root.requires_grad is True and since(facts.target, COMPLEX_LOSS_RAISES):
            message = f"{code(facts, event.at.node)} raises: its tensor is complex. Take `.abs()` or `.real` of it"
            yield self.finding(place(event.at), message)
            return
        shape = root.shape
        certain = shape is not None and prod(size for size in shape if size is not None) != 1
        several = certain or (shape is None and root.node.scalar is False)
        several = several or ((shape is None or None in shape) and _is_loss_of_each(root.node))
        if root.requires_grad is not True or not several:
            return
        what = f"`{root.name}`" if root.name else "its tensor"
        call = code(facts, event.at.node)
        reduce = "Reduce it first, with `.mean()` or `.sum()`"
        if certain:
            message = f"{call} raises: {what} has more than one element{_sizes(shape)}. {reduce}"
        else:
            message = f"{call} raises unless {what}, which is not reduced, has exactly one element. {reduce}"
        story = []
        if root.node.at is not None and root.node.at.node is not event.at.node:
            story.append(Step(place(root.node.at), f"{shown(facts, root.node.at)} gives several elements"))
        severity = Severity.ERROR if certain else Severity.INFORMATION
        yield self.finding(place(event.at), message, story, _fixes(event), severity)


def _is_loss_of_each(node: Node) -> bool:
    """Is this a loss that is not reduced, or such a one times weights?"""
    for _ in range(4):
        if node.label == "loss":
            return node.scalar is False
        if node.op not in ADDITIVE and node.op not in SCALING:
            return False
        inner = [edge.node for edge in node.edges if edge.flows is not False and edge.node.kind != "opaque"]
        if len(inner) != 1:
            return False
        node = inner[0]
    return False


def _sizes(shape: tuple[int | None, ...] | None) -> str:
    """The shape, in words that follow "more than one element"."""
    if not shape or None in shape:
        return ""
    return f" (its shape is {shape[0] if len(shape) == 1 else ' × '.join(map(str, shape))})"


def _fixes(event: Event) -> list[Fix]:
    node = event.at.node
    if (
        event.kind == "backward"
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and event.method
    ):
        root = place(event.at)._replace(node=node.func.value)
        return [Fix("Take the mean first", Safety.SUGGESTED, edits.add_call(root, ".mean()"))]
    return []
