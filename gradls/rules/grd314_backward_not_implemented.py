"""GRD314."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import maker
from gradls.rules.words import code, place

INSTEAD = {
    "floor_divide": "`torch.div(…, rounding_mode='floor')` has a gradient, which is zero",
    "__rfloordiv__": "`torch.div(…, rounding_mode='floor')` has a gradient, which is zero",
    "unique": "Detach what it is given",
    "unique_consecutive": "Detach what it is given",
    "vander": "Stack the powers instead",
    "heaviside": "`torch.sigmoid` is a smooth step",
}


class BackwardNotImplemented(Rule):
    """Backward goes through an operation that has none.

    ## What it finds
    A backward that reaches an operation for which PyTorch has no derivative, though its result requires grad: `//`,
    `torch.unique`, `torch.heaviside`, `torch.histogram`, the in-place forms of `acosh`, `asinh` and `atanh`, and
    others.

    ## Why it matters
    The forward runs and looks right. Only the backward says that there is no way on.

    ## What PyTorch does
    The backward raises, for example

        RuntimeError: derivative for aten::floor_divide is not implemented

    ## Example
    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    (x // 0.3).sum().backward()  # raises RuntimeError: derivative for aten::floor_divide is not implemented
    ```

    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    y = (x * 2).sub_(1).atanh_()
    y.sum().backward()  # raises RuntimeError: the derivative for 'inplace version of atanh' is not implemented
    ```

    ## Use instead
    An operation that has a derivative; `detach()` where no gradient is meant to flow.

    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    y = (x * 2).sub_(1).atanh()
    (y * (x.detach() // 0.3)).sum().backward()
    assert x.grad is not None
    ```

    ## When it is silent
    Where backward does not come there, and for integers.

    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    number = torch.unique(x)
    (x * (torch.arange(3) // 2)).sum().backward()
    assert x.grad is not None
    ```

    ## Fix safety
    There is none: a gradient that is zero everywhere is seldom what is wanted either.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html
    """

    code, name, severity = "GRD314", "backward-not-implemented", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("not-implemented"):
            if not event.caught:
                yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        node = event.node
        assert node is not None
        message = f"{maker(facts, node)} has no derivative: {code(facts, event.at.node)} raises"
        if node.op in INSTEAD:
            message += f". {INSTEAD[node.op]}"
        where = place(node.at) if node.at is not None else place(event.at)
        return self.finding(where, message, [Step(place(event.at), "this backward goes through it")])
