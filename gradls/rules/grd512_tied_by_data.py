"""GRD512."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class TiedByData(Rule):
    """Two parameters that are made to share their memory through `.data`, or by making one of the other.

    ## What it finds
    `a.weight.data = b.weight.data`, where both are parameters; and `a.weight = nn.Parameter(b.weight)`, where one
    backward fills the gradients of both.

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

    ```python
    import torch

    first, second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    first.weight = torch.nn.Parameter(second.weight)
    first(second(torch.randn(8, 3))).sum().backward()
    assert first.weight.data_ptr() == second.weight.data_ptr()
    assert not torch.equal(first.weight.grad, second.weight.grad)
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
            if isinstance(facts.statement(event.at.node), ast.AugAssign):
                continue  # `layer.weight.data /= 2`: written in place, and then put back where it was.
            if isinstance(given, Tensor) and isinstance(event.value, Tensor) and _is_data_of_other(given, event.value):
                yield self._report(facts, event)
        made = [(event, _source(event)) for event in facts.of("parameter")]
        for event, source in made:
            both = [one for one in facts.of("backward") if source in one.reached and event.value in one.reached]
            if both:
                yield self._report_made(facts, event, both[0])

    def _report_made(self, facts: Facts, event: Event, backward: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is a parameter of its own in the memory of another: each has a gradient, "
            "and an optimizer steps the memory once for each. Assign the parameter itself to tie them"
        )
        story = [Step(place(backward.at), "this computes a gradient for each of the two")]
        return self.finding(place(event.at), message, story)

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


def _source(event: Event) -> Tensor | None:
    """The parameter in the memory of which another one is made."""
    given = event.info.get("data")
    if isinstance(given, Tensor) and not given.is_parameter and given.node.op in ("data", "detach"):
        given = given.data
    return given if isinstance(given, Tensor) and given.is_parameter else None
