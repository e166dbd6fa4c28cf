"""GRD516."""

from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class UninitializedParameter(Rule):
    """A parameter of a lazy layer is used before the first forward.

    ## What it finds
    An operation or a method, such as `numel()`, `detach()` or a function of `torch.nn.init`, on a parameter of
    `LazyLinear`, `LazyConv2d` and their like, when the layer has not been called yet.

    ## Why it matters
    A lazy layer finds out the size of its input at the first call. Until then its parameters have neither a shape nor
    memory: they cannot be counted, initialized, or frozen with `requires_grad_()`. An optimizer may have them.

    ## What PyTorch does
    It raises

        ValueError: Attempted to use an uninitialized parameter in <method 'numel' of 'torch._C.TensorBase' objects>.

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.ReLU(), torch.nn.LazyLinear(1))
    size = sum(p.numel() for p in model.parameters())  # raises ValueError: Attempted to use an uninitialized
    ```

    ```python
    import torch

    layer = torch.nn.LazyConv2d(4, 3)
    torch.nn.init.normal_(layer.weight, std=0.02)  # raises ValueError: Attempted to use an uninitialized parameter
    ```

    ## Use instead
    Call the model once, with an input of the right size.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.ReLU(), torch.nn.LazyLinear(1))
    with torch.no_grad():
        model(torch.zeros(1, 3))
    assert sum(p.numel() for p in model.parameters()) == 41
    torch.nn.init.xavier_uniform_(model[0].weight)
    ```

    ## When it is silent
    After a call or `load_state_dict()`, and where code that is not seen may have called the layer.

    ```python
    import torch

    layer = torch.nn.LazyLinear(2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    assert layer.weight.numel() == 6
    ```

    ## Fix safety
    There is none: only the author knows the size of the input.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.modules.lazy.LazyModuleMixin.html
    """

    code, name, severity = "GRD516", "uninitialized-parameter", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        seen = set()
        for event in facts.of("uninitialized"):
            if event.caught or not isinstance(event.value, Tensor) or event.value.owner in seen:
                continue
            owner = event.value.owner
            seen.add(owner)
            what = f"`{owner.name}`" if owner is not None and owner.name else "its layer"
            message = (
                f"{code(facts, event.at.node)} raises: {what} has not been called yet, so its parameters have no shape"
            )
            story = [Step(place(owner.at), "the layer is made here")] if owner is not None and owner.at else []
            yield self.finding(place(event.at), message, story)
