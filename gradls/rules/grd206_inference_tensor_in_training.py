"""GRD206."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.values import Tensor
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown, statement_of
from gradls.rules.words import place


class InferenceTensorInTraining(Rule):
    """A tensor made in inference mode is used where gradients are computed.

    ## What it finds
    A tensor that was made under `torch.inference_mode()` and, outside of it, is kept for backward by an operation, is
    written in place, or is told to require grad.

    ## Why it matters
    `inference_mode` is faster than `no_grad` because its tensors do without version counters and views. For the same
    reason they are good for nothing that autograd has to watch. Features that a frozen network computes for a network
    that trains are such a case.

    ## What PyTorch does
    It raises one of

        RuntimeError: Inference tensors cannot be saved for backward. Please do not use Tensors created in inference
        mode in computation tracked by autograd.

        RuntimeError: Inplace update to inference tensor outside InferenceMode is not allowed.

        RuntimeError: Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.

    ## Example
    ```python
    import torch

    backbone, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    with torch.inference_mode():
        features = backbone(torch.randn(8, 3))
    loss = head(features).mean()  # raises RuntimeError: Inference tensors cannot be saved for backward
    ```

    ```python
    import torch

    with torch.inference_mode():
        total = torch.zeros(3)
    total += 1  # raises RuntimeError: Inplace update to inference tensor outside InferenceMode
    ```

    ```python
    import torch

    with torch.inference_mode():
        x = torch.randn(3)
    x.requires_grad_()  # raises RuntimeError: Setting requires_grad=True on inference tensor
    ```

    ## Use instead
    `torch.no_grad()`; or `clone()` outside of inference mode, which makes a normal tensor.

    ```python
    import torch

    backbone, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    with torch.no_grad():
        features = backbone(torch.randn(8, 3))
    head(features).mean().backward()
    assert head.weight.grad is not None and backbone.weight.grad is None
    ```

    ```python
    import torch

    head = torch.nn.Linear(3, 1)
    with torch.inference_mode():
        x = torch.randn(8, 3)
    head(x.clone()).mean().backward()
    assert head.weight.grad is not None
    ```

    ## When it is silent
    For operations that keep nothing of the tensor: an addition, a comparison, a result that is only printed.

    ```python
    import torch

    w = torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        offset = torch.ones(3)
    (w + offset).sum().backward()
    assert w.grad.tolist() == [1, 1, 1]
    ```

    ## Fix safety
    There is none: `inference_mode` may stand far away, for other callers as well.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#inference-mode
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html
    """

    code, name, severity = "GRD206", "inference-tensor-in-training", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("inference-tensor", "inference-write", "requires-grad-set"):
            if event.caught or not isinstance(event.value, Tensor) or not event.value.inference:
                continue
            if event.kind == "requires-grad-set" and (event.flag is not True or event.inference_mode):
                continue
            yield self.report(facts, event, event.value)

    def report(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        what = f"`{tensor.name}`" if tensor.name else "a tensor"
        if event.kind == "inference-tensor":
            layer = isinstance(event.keeper, Node) and event.keeper.layer is not None
            keeper = (
                f"{shown(facts, event.keeper.layer)} in {shown(facts, event.at)}" if layer else shown(facts, event.at)
            )
            does = f"{keeper} has to keep {what} for backward"
        elif event.kind == "inference-write":
            does = f"{shown(facts, event.at)} writes to {what} in place"
        else:
            does = f"{shown(facts, event.at)} asks for a gradient of {what}"
        message = (
            f"{does}, which was made in inference mode: it raises. Make it under `torch.no_grad()` instead, "
            "or `clone()` it outside of inference mode"
        )
        story = [Step(place(tensor.node.at), "it is made in inference mode here")] if tensor.node.at else []
        message, severity = if_recorded(event, message, self.severity)
        where = Place(event.at.source, statement_of(facts, event.at))
        return self.finding(where, message, story, severity=severity)
