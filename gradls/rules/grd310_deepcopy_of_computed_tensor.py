"""GRD310."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place


class DeepcopyOfComputedTensor(Rule):
    """A tensor with a graph, or a module that holds one, is deep-copied.

    ## What it finds
    `copy.deepcopy` of a tensor that was computed with a graph, of a container with one in it, or of a module that keeps
    one in an attribute: an attention map or a hidden state that `forward` has stored on `self`.

    ## Why it matters
    A deep copy would have to copy the graph. PyTorch copies leaves only. A module that stores what it computes can be
    copied as long as it has not been called, and no longer after: with an average of the weights (EMA) or the best
    weights so far, that is in the middle of the training.

    ## What PyTorch does
    It raises

        RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the
        moment.

    ## Example
    ```python
    import copy
    import torch

    prediction = torch.nn.Linear(3, 1)(torch.randn(8, 3))
    before = copy.deepcopy(prediction)  # raises RuntimeError: Only Tensors created explicitly by the user
    ```

    ```python
    import copy
    import torch

    class Gate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 3)

        def forward(self, x):
            self.open = torch.sigmoid(self.linear(x))
            return x * self.open

    gate = Gate()
    gate(torch.randn(8, 3)).sum().backward()
    best = copy.deepcopy(gate)  # raises RuntimeError: Only Tensors created explicitly by the user
    ```

    ## Use instead
    `detach().clone()` for a tensor; in a module, keep what is only looked at detached.

    ```python
    import copy
    import torch

    class Gate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 3)

        def forward(self, x):
            opened = torch.sigmoid(self.linear(x))
            self.open = opened.detach()
            return x * opened

    gate = Gate()
    gate(torch.randn(8, 3)).sum().backward()
    best = copy.deepcopy(gate)
    assert best.linear.weight is not gate.linear.weight
    ```

    ## When it is silent
    For parameters, buffers and other leaves, for tensors without a graph, and before a forward has stored anything.

    ```python
    import copy
    import torch

    layer = torch.nn.Linear(3, 1)
    copies = [copy.deepcopy(layer), copy.deepcopy(layer.state_dict()), copy.deepcopy(torch.randn(3) * 2)]
    assert copies[0].weight.requires_grad
    ```

    ## Fix safety
    There is none: whether the copy is to keep its gradient is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    code, name, severity = "GRD310", "deepcopy-of-computed-tensor", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("deepcopy"):
            if event.computed and not event.caught:
                yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        way, tensor, made = event.computed[0]
        copy = code(facts, event.at.node)
        if not way:
            what = f"`{tensor.name}`" if tensor.name else "the tensor"
            message = f"{copy} raises: {what} has a graph, and only leaves can be deep-copied. Use `.detach().clone()`"
        else:
            message = (
                f"{copy} raises: it holds `{way}`, which has a graph, and only leaves can be deep-copied. "
                f"Keep `{way}` detached"
            )
        story = [Step(place(made), f"{shown(facts, made)} computes it with its graph")] if made is not None else []
        message, severity = if_recorded(event, message, self.severity)
        return self.finding(place(event.at), message, story, severity=severity)
