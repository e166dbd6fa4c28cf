"""GRD527."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Sequence, Tensor, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class UsedUpParameters(Rule):
    """A loop over parameters that an iterator has given before.

    ## What it finds
    A `for` over what `parameters()`, `filter()`, `itertools.chain()` or a generator gave, after an optimizer was made
    from it, its gradients were clipped, or another loop went through it.

    ## Why it matters
    An iterator gives each parameter once. The loop that should freeze a network, initialize it or add up its norm does
    nothing, and nobody says so.

    ## What PyTorch does
    Nothing: `parameters()` gives an iterator, and an empty one is a loop without rounds.

    ## Example
    ```python
    import itertools
    import torch

    critics = [torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)]
    parameters = itertools.chain(*(critic.parameters() for critic in critics))
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.requires_grad = False
    assert critics[0].weight.requires_grad
    ```

    ## Use instead
    A list of the parameters, or another call of `parameters()`.

    ```python
    import itertools
    import torch

    critics = [torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)]
    parameters = list(itertools.chain(*(critic.parameters() for critic in critics)))
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.requires_grad = False
    assert not critics[0].weight.requires_grad
    ```

    ## When it is silent
    Where each loop has an iterator of its own. Where only some branch has gone through it before, and where a loop that
    breaks off may have left some.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for parameter in model.parameters():
        parameter.requires_grad = False
    assert not model.bias.requires_grad
    ```

    ## Fix safety
    There is no automatic fix: it is for the author to say where the list is made.

    ## References
    - https://docs.python.org/3/glossary.html#term-iterator
    """

    code, name, severity = "GRD527", "used-up-parameters", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        by_place: dict[ast.AST, list[Event]] = {}
        for event in facts.of("loop"):
            by_place.setdefault(event.at.node, []).append(event)
        for node, events in by_place.items():
            used = events[0].info.get("exhausted")
            if not isinstance(node, ast.For) or used is None or not _holds_parameters(events[0].value):
                continue
            if any(event.info.get("exhausted") is None for event in events):
                continue
            message = (
                f"the loop over {code(facts, node.iter)} has no rounds: it is an iterator that was gone through "
                "before, and gives the parameters once. Keep a list of them"
            )
            at = events[0].at._replace(node=node.iter)
            yield self.finding(place(at), message, [Step(place(used), "it is gone through here")])


def _holds_parameters(value: Value | None) -> bool:
    """Did an iterator give tensors that are trained, maybe with their names?"""
    items = value.items if isinstance(value, Sequence) else ()
    for item in items[:1]:
        parts = item.items if isinstance(item, Sequence) else (item,)
        return any(isinstance(part, Tensor) and part.node.leaf is part for part in parts)
    return False
