"""GRD114."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost, lost_gradients
from gradls.flow.reach import lost_leaves
from gradls.flow.values import Tensor, Value
from gradls.rules.finding import Finding, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.registration import made_in
from gradls.rules.words import code, origin, place


class ParameterOfComputed(LostGradientRule):
    """A parameter made of something that other parameters computed.

    ## What it finds
    `nn.Parameter(f(x))` where `f(x)` has a gradient of its own.

    ## Why it matters
    A parameter is a leaf: it starts with these values, and the computation behind them is forgotten. A network that
    generates weights is never trained through `nn.Parameter`.

    ## What PyTorch does
    It says nothing. The new parameter gets a gradient; what computed its first value gets none.

    ## Example
    ```python
    import torch

    generator = torch.nn.Linear(3, 4)
    weight = torch.nn.Parameter(generator(torch.randn(3)))
    loss = (torch.randn(8, 4) * weight).pow(2).mean()
    loss.backward()
    assert generator.weight.grad is None
    ```

    ## Use instead
    The computed tensor, in a functional call.

    ```python
    import torch

    generator = torch.nn.Linear(3, 4)
    weight = generator(torch.randn(3))
    loss = (torch.randn(8, 4) * weight).pow(2).mean()
    loss.backward()
    assert generator.weight.grad is not None
    ```

    ## When it is silent
    For values without a gradient: `nn.Parameter(torch.randn(4))`, or a copy of a parameter made with `detach()`; and
    for what takes the place of the parameter that it was made of: `layer.weight = nn.Parameter(layer.weight[:8])`. For
    `nn.Parameter(other.weight)`, which has the memory of the other one and trains it, too, and for parameters that are
    made with `requires_grad=False`.

    ```python
    import torch

    source = torch.nn.Linear(3, 4)
    weight = torch.nn.Parameter(source.weight.detach().clone())
    (weight * 2).sum().backward()
    assert weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    - https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html
    """

    code, name, severity = "GRD114", "parameter-of-computed", Severity.WARNING
    whole_file = True
    kinds = ("parameter",)
    does = "makes a new leaf, and forgets how its value was computed"

    def losses(self, facts: Facts) -> Iterator[Lost]:
        made = {event.node: event.value for event in facts.of("parameter") if event.node is not None}
        grown = _grown(facts)
        for lost in super().losses(facts):
            if lost.why in ("untrained", "forward") and lost.cut in grown:
                continue
            new = made.get(lost.cut)
            # A parameter with the memory of another one trains it, too.
            if not isinstance(new, Tensor) or not lost.leaves or not all(leaf.shares(new) for leaf in lost.leaves):
                yield lost

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from super().check(facts)
        costly = {node for lost in lost_gradients(facts) for node in (lost.cut, *lost.others)}
        grown = _grown(facts)
        for event in facts.of("parameter"):
            cut = event.node.cut if event.node is not None else None
            if (
                event.node is None
                or cut is None
                or not cut.certain
                or event.node in costly
                or event.data.leaf is not False
                or not isinstance(event.value, Tensor)
                or event.value.requires_grad is False
            ):
                continue
            lost = lost_leaves(event.node)
            if event.node in grown:
                continue
            if made_in(event, "__init__") or (lost and not any(leaf.is_parameter or leaf.name for leaf in lost)):
                continue  # These are the values to begin with.
            message = f"{code(facts, event.at.node)} {self.does}: no gradient goes back to what computed it"
            yield self.finding(place(event.at), message, origin(event.node), severity=Severity.INFORMATION)


def _grown(facts: Facts) -> set[Node]:
    """Where a parameter comes in the place of the one that it was cut out of, or grew from: that is not trained any
    more."""
    replaced: dict[object, Value] = {}
    found: set[Node] = set()
    in_groups = {
        tensor
        for event in facts.of("group-added")
        if isinstance(event.at.node, ast.Subscript)
        for tensor in event.parameters
    }
    for event in facts.of("parameter"):
        if event.node is not None and event.value in in_groups:
            found.add(event.node)
        replaced = replaced or {event.assigned: event.old for event in facts.of("attribute-set")}
        before = replaced.get(event.value)
        if (
            event.node is not None
            and before is not None
            and (before is event.data or before in lost_leaves(event.node))
        ):
            found.add(event.node)
    return found
