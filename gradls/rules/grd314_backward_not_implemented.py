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
    others. A backward of a gradient (`create_graph=True`) that reaches an operation without a second derivative:
    `hardsigmoid`, `multi_margin_loss`, `ctc_loss`, `pdist`, or a custom Function whose backward is marked with
    `@once_differentiable`. And a backward through an in-place `leaky_relu_`, `elu_`, `celu_` or `rrelu_` with a
    negative slope, which would have to know the sign of what was overwritten, or through a `scatter` or `scatter_add`
    of a tensor that is larger than the index: one column of indices for many columns of values.

    ## Why it matters
    The forward runs and looks right. Only the backward says that there is no way on.

    ## What PyTorch does
    The backward raises, for example

        RuntimeError: derivative for aten::floor_divide is not implemented
        RuntimeError: derivative for aten::hardsigmoid_backward is not implemented
        RuntimeError: trying to differentiate twice a function that was marked with @once_differentiable
        RuntimeError: In-place leakyReLu backward calculation is triggered with a negative slope which is not supported.

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

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Hardsigmoid())
    x = torch.rand(2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    penalty = slope.norm()
    penalty.backward()  # raises RuntimeError: derivative for aten::hardsigmoid_backward is not implemented
    ```

    ```python
    import torch
    from torch.autograd.function import once_differentiable


    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @once_differentiable
        def backward(ctx, grad_output):
            (x,) = ctx.saved_tensors
            return 2 * grad_output * x


    x = torch.rand(3, requires_grad=True)
    (slope,) = torch.autograd.grad(Square.apply(x).pow(2).sum(), x, create_graph=True)
    slope.sum().backward()  # raises RuntimeError: trying to differentiate twice a function
    ```

    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    y = torch.nn.functional.leaky_relu_(x - 1, -0.2)
    y.sum().backward()  # raises RuntimeError: In-place leakyReLu backward calculation is triggered
    ```

    ```python
    import torch

    messages = torch.rand(4, 3, requires_grad=True)
    nodes = torch.tensor([0, 1, 1, 0])
    summed = torch.zeros(2, 3).scatter_add(0, nodes.unsqueeze(-1), messages)  # fills the first column only
    summed.sum().backward()  # raises RuntimeError: returned an invalid gradient
    ```

    ## Use instead
    An operation that has a derivative; `detach()` where no gradient is meant to flow.

    ```python
    import torch

    x = torch.rand(3, requires_grad=True)
    y = (x * 2).sub_(1).atanh()
    (y * (x.detach() // 0.3)).sum().backward()
    messages = torch.rand(4, 3, requires_grad=True)
    nodes = torch.tensor([0, 1, 1, 0])
    torch.zeros(2, 3).scatter_add(0, nodes.unsqueeze(-1).expand_as(messages), messages).sum().backward()
    assert x.grad is not None and messages.grad is not None
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sigmoid())
    x = torch.rand(2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    slope.norm().backward()
    y = torch.nn.functional.leaky_relu(x - 1, -0.2)
    y.sum().backward()
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
        seen: set[tuple[object, object]] = set()
        for event in facts.of("not-implemented"):
            if not event.caught and (event.node, event.at.node) not in seen:
                seen.add((event.node, event.at.node))
                yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        node = event.node
        assert node is not None
        raises = f"{code(facts, event.at.node)} raises"
        if event.second == "once":
            message = (
                f"the backward of `{node.op}` is marked with `@once_differentiable`, and {raises}: it goes there again"
            )
        elif event.second == "raises":
            message = f"{maker(facts, node)} has no second derivative: {raises}"
        elif event.second == "scattered":
            message = (
                f"what {maker(facts, node)} scatters has another shape than the index, and is not known to backward: "
                f"{raises}. Give it one index for each element: `index.expand_as(src)`"
            )
        elif event.second == "negative":
            message = f"{maker(facts, node)} works in place with a negative slope, which backward cannot undo: {raises}"
        else:
            message = f"{maker(facts, node)} has no derivative: {raises}"
            message += f". {INSTEAD[node.op]}" if node.op in INSTEAD else ""
        where = place(node.at) if node.at is not None else place(event.at)
        return self.finding(where, message, [Step(place(event.at), "this backward goes through it")])
