"""GRD317."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class ArgumentWithoutDerivative(Rule):
    """An argument that must not require grad does.

    ## What it finds
    A tensor that requires grad, given to an operation for an argument by which PyTorch cannot differentiate: the
    class weights of `cross_entropy`, `nll_loss` and `multi_margin_loss`, the weights of the binary cross entropies, the
    target of `soft_margin_loss`, the running statistics of `batch_norm`.

    ## Why it matters
    Such weights look as if they could be learned. PyTorch has no formula for their gradient, and refuses.

    ## What PyTorch does
    The call itself raises, also if nothing else requires grad:

        RuntimeError: The function 'nll_loss_forward' is not differentiable with respect to argument 'weight'. This
        input cannot have requires_grad True.

    ## Example
    ```python
    import torch
    from torch.nn import functional as F

    weight = torch.ones(3, requires_grad=True)
    scores, labels = torch.randn(2, 3), torch.tensor([0, 1])
    loss = F.cross_entropy(scores, labels, weight=weight)  # raises RuntimeError: is not differentiable
    ```

    ```python
    import torch

    class_weight = torch.nn.Parameter(torch.ones(3))
    criterion = torch.nn.NLLLoss(weight=class_weight)
    scores = torch.nn.Linear(4, 3)(torch.randn(2, 4)).log_softmax(1)
    loss = criterion(scores, torch.tensor([0, 1]))  # raises RuntimeError: is not differentiable
    ```

    ## Use instead
    `detach()` where the weights are constants; the loss of each element, weighted by hand, where they are learned.

    ```python
    import torch
    from torch.nn import functional as F

    weight = torch.ones(3, requires_grad=True)
    scores = torch.randn(2, 3, requires_grad=True)
    labels = torch.tensor([0, 1])
    F.cross_entropy(scores, labels, weight=weight.detach()).backward()
    (F.cross_entropy(scores, labels, reduction="none") * weight[labels]).mean().backward()
    assert weight.grad is not None
    ```

    ## When it is silent
    Where gradients are off, and for `cross_entropy` with class probabilities, where the weights have a gradient.

    ```python
    import torch
    from torch.nn import functional as F

    weight = torch.ones(3, requires_grad=True)
    F.cross_entropy(torch.randn(2, 3), torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), weight=weight).backward()
    assert weight.grad is not None
    with torch.no_grad():
        F.cross_entropy(torch.randn(2, 3), torch.tensor([0, 1]), weight=weight)
    ```

    ## Fix safety
    There is none: whether the weights are meant to be learned is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """

    code, name, severity = "GRD317", "argument-without-derivative", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("refused-argument"):
            if not event.caught:
                yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        value, name = event.value, event.name
        what = f"`{value.name}`" if isinstance(value, Tensor) and value.name else "it"
        message = f"{code(facts, event.at.node)} raises: it has no derivative by `{name}`, and {what} requires grad"
        if name in ("weight", "pos_weight"):
            message += ". Detach it; to learn it, take `reduction='none'` and multiply by it"
        elif name.startswith("running"):
            message += ". Statistics are buffers: detach it"
        else:
            message += ". Detach it"
        made = value.node.at if isinstance(value, Tensor) else None
        story = [Step(place(made), "this requires grad")] if made is not None else []
        message, severity = if_recorded(event, message, self.severity)
        return self.finding(place(event.at), message, story, severity=severity)
