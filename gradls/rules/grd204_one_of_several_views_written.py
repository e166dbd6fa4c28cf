"""GRD204."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown, statement_of
from gradls.rules.words import code, place


class OneOfSeveralViewsWritten(Rule):
    """A view that may not be written in place is written in place.

    ## What it finds
    In-place writes to the results of `unbind`, `split`, `chunk` and their like, to the rows that iterating over
    a tensor gives, to views that were made under `no_grad`, to what goes into and comes out of a module with a full
    backward hook, and to what a custom Function gives if that is its input or a view of it, where the tensor or what is
    written has a gradient; and the use of such a view after the tensor that it is a part of was written, be it by an
    optimizer.

    ## Why it matters
    A write to a view changes the history of the whole tensor. Autograd can follow that for a view that an operation
    gives alone, such as `x[i]`; for one of several it cannot. For a view made under `no_grad` it does not know whether
    the write is meant to be recorded.

    ## What PyTorch does
    The write raises, for example

        RuntimeError: Output 0 of Unbind is a view and is being modified inplace. This view is the output of a function
        that returns multiple views.

    or `A view was created in no_grad mode and is being modified inplace with grad mode enabled.`

    ## Example
    ```python
    import torch

    x = torch.randn(4, 3, requires_grad=True) * 2
    for row in x:
        row /= row.norm()  # raises RuntimeError: is a view and is being modified inplace
    ```

    ```python
    import torch

    x = torch.randn(4, 6, requires_grad=True) * 2
    mean, scale = x.chunk(2, dim=1)
    scale.exp_()  # raises RuntimeError: is a view and is being modified inplace
    ```

    ```python
    import torch

    x = torch.randn(4, 6, requires_grad=True) * 2
    mean, scale = x.chunk(2, dim=1)
    x += 1
    loss = mean.sum() + scale.sum()  # raises RuntimeError: its base or another view of its base has been modified
    ```

    ```python
    import torch

    raw = torch.zeros(2, 3, requires_grad=True)
    mean, scale = raw.unbind(0)
    optimizer = torch.optim.SGD([raw], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = (mean + scale.exp()).sum()  # raises RuntimeError: its base or another view of its base has been modified
        loss.backward()
        optimizer.step()
    ```

    ```python
    import torch

    layer = torch.nn.Linear(3, 3)
    layer.register_full_backward_hook(lambda module, given, gradients: None)
    out = torch.relu_(layer(torch.randn(8, 3)))  # raises RuntimeError: is a view and is being modified inplace
    ```

    ```python
    import torch


    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad_output):
            return -grad_output


    features = Reverse.apply(torch.nn.Linear(3, 3)(torch.randn(8, 3)))
    torch.relu_(features)  # raises RuntimeError: This view was created inside a custom Function
    ```

    ## Use instead
    A new tensor, or indexing: `x[i]` is a view that may be written.

    ```python
    import torch

    x = torch.randn(4, 3, requires_grad=True) * 2
    x = torch.stack([row / row.norm() for row in x])
    mean, scale = x.new_ones(4, 6).chunk(2, dim=1)
    scale = scale.exp()
    assert x.requires_grad
    ```

    ```python
    import torch

    x = torch.randn(4, 3, requires_grad=True) * 2
    for i in range(4):
        x[i] += 1
    assert x.requires_grad
    ```

    ## When it is silent
    Where nothing has a gradient, and under `no_grad`.

    ```python
    import torch

    data = torch.randn(4, 3)
    for row in data:
        row /= row.norm()
    weights = torch.randn(2, 3, requires_grad=True)
    with torch.no_grad():
        for row in weights:
            row.clamp_(-1, 1)
    assert weights.requires_grad
    ```

    ## Fix safety
    There is none: a new tensor in the place of the view no longer changes the whole.

    ## References
    - https://docs.pytorch.org/docs/stable/tensor_view.html
    - https://docs.pytorch.org/docs/stable/generated/torch.unbind.html
    """

    code, name, severity = "GRD204", "one-of-several-views-written", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        seen: set[Tensor] = set()
        for event in facts.of("multi-view-write"):
            if not event.caught and isinstance(event.value, Tensor) and event.value not in seen:
                seen.add(event.value)
                yield self.write(facts, event, event.value)
        for event in facts.of("multi-view-use"):
            if not event.caught and isinstance(event.value, Tensor):
                yield self.use(facts, event, event.value)

    def write(self, facts: Facts, event: Event, view: Tensor) -> Finding:
        what = f"`{view.name}`" if view.name else "a view"
        if event.view in ("no_grad", "inference_mode"):
            why = f"a view made under `{event.view}`, in grad mode"
            instead = "Make the view and the write under one mode"
        elif event.view == "backward_hook":
            why = "which belongs to a module with a full backward hook and may not be written"
            instead = "Make a new tensor (`inplace=False`)"
        elif event.view == "custom":
            why = "which a custom Function gives back as its input or a view of it"
            instead = "Make a new tensor, or let forward give a copy (`clone()`)"
        else:
            why = f"one of several views that {_giver(event.view)} gives"
            instead = "Make a new tensor, or index the whole (`x[i]`), which may be written"
        message = f"{shown(facts, event.at)} writes in place to {what}, {why}: it raises. {instead}"
        message, severity = if_recorded(event, message, self.severity)
        where = Place(event.at.source, statement_of(facts, event.at))
        return self.finding(where, message, _made(view), severity=severity)

    def use(self, facts: Facts, event: Event, view: Tensor) -> Finding:
        what = f"`{view.name}`" if view.name else "a view"
        message = (
            f"{what} is one of several views of a tensor that {shown(facts, event.by)} has written since: "
            f"{code(facts, event.at.node)} raises. Write before the views are made, or make a new tensor"
        )
        if view.multi == "no_grad":
            message = (
                f"{what} was made under `no_grad`, as a view of a tensor that {shown(facts, event.by)} has written "
                f"since: {code(facts, event.at.node)} raises. Take a `detach()` of it, or make it anew"
            )
        message, severity = if_recorded(event, message, self.severity)
        story = [Step(place(event.by), "the whole tensor is written here")]
        return self.finding(place(event.at), message, story, severity=severity)


def _giver(operation: str) -> str:
    return "iterating over a tensor" if operation in ("unbind", "__iter__") else f"`{operation}`"


def _made(view: Tensor) -> list[Step]:
    return [Step(place(view.node.at), "the view comes from here")] if view.node.at is not None else []
