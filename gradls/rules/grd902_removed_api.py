"""GRD902."""

from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.flow.values import Lib
from gradls.rules.finding import Finding, Place, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code


class RemovedApi(Rule):
    """Something that old tutorials use and that PyTorch no longer has.

    ## What it finds
    `Variable(x, volatile=True)` and `torch.autograd.variable(x)`.

    ## Why it matters
    `volatile` once kept operations from being recorded. Now it does nothing, so an evaluation that relies on it builds
    graphs. The function `variable` raises.

    ## What PyTorch does
    It warns

        UserWarning: volatile was removed and now has no effect. Use `with torch.no_grad():` instead.

    or raises

        RuntimeError: torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead

    ## Example
    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    inputs = Variable(torch.randn(8, 3), volatile=True)  # warns UserWarning: volatile was removed
    assert model(inputs).requires_grad
    ```

    ```python
    import torch

    inputs = torch.autograd.variable(torch.randn(8, 3))  # raises RuntimeError: is deprecated, use torch.tensor
    ```

    ## Use instead
    `torch.no_grad()`, and plain tensors.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        output = model(torch.randn(8, 3))
    assert not output.requires_grad
    ```

    ## When it is silent
    For `Variable(x)` around data, which is a tensor and harmless.

    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    assert model(Variable(torch.randn(8, 3))).requires_grad
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/autograd.html#variable-deprecated
    """

    code, name, severity = "GRD902", "removed-api", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        for node, records in facts.calls.items():
            paths = {function.path for function, _, _ in records if isinstance(function, Lib)}
            at = Place(facts.source_of(node), node)
            if "torch.autograd.variable" in paths:
                message = f"{code(facts, node.func)} was removed, and raises: a tensor needs no wrapper"
                yield self.finding(at, message, severity=Severity.ERROR)
            elif "torch.autograd.Variable" in paths and any("volatile" in call.kwargs for _, call, _ in records):
                message = (
                    "`volatile` was removed and has no effect: operations are recorded; put them into "
                    "`with torch.no_grad():`"
                )
                yield self.finding(at, message)
