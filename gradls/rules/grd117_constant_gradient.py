"""GRD117."""

from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import frontier
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code, origin, place


class ConstantGradient(LostGradientRule):
    """The second derivative of something that is linear.

    ## What it finds
    A gradient taken with `create_graph=True` of a function that is linear in what it is differentiated by, used as if
    it had a gradient itself: in a loss on which `backward()` is called, or in a second `torch.autograd.grad`.

    ## Why it matters
    The gradient of a sum, a mean, a product with a constant or an index is a constant. `create_graph=True` cannot give
    it a graph: it does not depend on anything that requires grad. Activations do not help where they are not on
    the way.

    ## What PyTorch does
    Where nothing else in the loss has a gradient, the second backward raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    In a sum with other terms it says nothing.

    ## Example
    ```python
    import torch

    x = torch.randn(3, requires_grad=True)
    (slope,) = torch.autograd.grad((3 * x).sum(), x, create_graph=True)
    slope.sum().backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    t = torch.linspace(0, 1, 5, requires_grad=True)
    position = 2 * t + 1
    (speed,) = torch.autograd.grad(position.sum(), t, create_graph=True)
    torch.autograd.grad(speed.sum(), t)  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    A function that is not linear; or, where a second derivative of zero is right, leave it out.

    ```python
    import torch

    t = torch.linspace(0, 1, 5, requires_grad=True)
    position = 2 * t**2 + 1
    (speed,) = torch.autograd.grad(position.sum(), t, create_graph=True)
    (acceleration,) = torch.autograd.grad(speed.sum(), t)
    assert bool((acceleration == 4).all())
    ```

    ## When it is silent
    Where the gradient depends on a parameter, as behind a layer, or on a gradient that was given.

    ```python
    import torch

    weight = torch.randn(3, requires_grad=True)
    x = torch.randn(3, requires_grad=True)
    (slope,) = torch.autograd.grad((weight * x).sum(), x, create_graph=True)
    slope.pow(2).sum().backward()
    assert weight.grad is not None
    ```

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD117", "constant-gradient", Severity.ERROR
    whole_file = True
    kinds = ("constant",)
    does = "is the gradient of something linear: a constant, in spite of `create_graph=True`"

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from super().check(facts)
        for event in facts.of("grad-call"):
            if not event.caught:
                yield from self.differentiated(facts, event)

    def differentiated(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """A second `torch.autograd.grad` of such a gradient."""
        for root, node in zip(event.roots, event.nodes, strict=False):
            if not isinstance(root, Tensor) or event.constant is not True:
                continue
            cuts: list[Node] = [cut for cut in frontier(node) if cut.cut is not None and cut.cut.kind == "constant"]
            if cuts and cuts[0].cut is not None:
                at = cuts[0].cut.at
                message = f"{code(facts, at.node)} {self.does}: {code(facts, event.at.node)} raises"
                story = [*origin(cuts[0]), Step(place(event.at), "it is differentiated once more here")]
                yield self.finding(place(at), message, story)
                return
