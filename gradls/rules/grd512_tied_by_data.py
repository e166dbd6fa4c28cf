"""GRD512."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class TiedByData(Rule):
    """Two parameters that are made to share their memory through `.data`.

    ## What it finds
    `a.weight.data = b.weight.data`, where both are parameters.

    ## Why it matters
    The two parameters have one memory and two gradients: an optimizer steps the memory once for each, with two states
    of momentum, and a parameter that only the other one's gradient should move is left out. If the values were to be
    copied once, they are not: later changes of one show in the other.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    first, second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    first.weight.data = second.weight.data
    first(torch.randn(8, 3)).sum().backward()
    assert first.weight.data_ptr() == second.weight.data_ptr()
    assert second.weight.grad is None
    ```

    ## Use instead
    The parameter itself, to tie; a copy, to start from the same values.

    ```python
    import torch

    first, second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    first.weight = second.weight
    first(torch.randn(8, 3)).sum().backward()
    assert second.weight.grad is not None
    third = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        third.weight.copy_(second.weight)
    assert third.weight.data_ptr() != second.weight.data_ptr()
    ```

    ## When it is silent
    For a copy.

    ```python
    import torch

    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    first.weight.data = second.weight.data.clone()
    first.bias.data.copy_(second.bias.data)
    assert first.weight.data_ptr() != second.weight.data_ptr()
    ```

    ## Fix safety
    There is no automatic fix: which of the two is meant, only the author knows.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    code, name, severity = "GRD512", "tied-by-data", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("data-set"):
            given = event.assigned
            if isinstance(given, Tensor) and isinstance(event.value, Tensor) and _is_data_of_other(given, event.value):
                yield self._report(facts, event)

    def _report(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} shares its memory with another parameter from now on, but not its "
            "gradient: assign the parameter itself to tie them, or copy the values with `copy_()` or `.clone()`"
        )
        return self.finding(place(event.at), message)


def _is_data_of_other(given: Tensor, receiver: Tensor) -> bool:
    source = given.data
    if given.node.op not in ("data", "detach") or not isinstance(source, Tensor) or not receiver.is_parameter:
        return False
    return source.is_parameter and source is not receiver
