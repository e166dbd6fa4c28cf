"""GRD108."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import backwards
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import backward_step, code, owners, place


class ZeroGradient(Rule):
    """A gradient that is zero everywhere, because of rounding or the sign.

    ## What it finds
    `round`, `floor`, `ceil`, `trunc`, `sign` and their kind as the only way from parameters to a loss.

    ## Why it matters
    These functions are flat, so autograd multiplies by zero. Nothing raises, every `grad` is there, and all of them
    are zeros: the parameters never move.

    ## What PyTorch does
    The result requires grad, `backward()` runs, and the gradient is a tensor of zeros.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = (model(torch.randn(8, 3)).round() - 1.0).pow(2).mean()
    loss.backward()
    assert not model.weight.grad.any()
    ```

    ## Use instead
    A straight-through estimator: rounded values forward, the gradient of the value itself backward.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    value = model(torch.randn(8, 3))
    rounded = value + (value.round() - value).detach()
    loss = (rounded - 0.7).pow(2).mean()
    loss.backward()
    assert model.weight.grad.any()
    ```

    ## When it is silent
    Where the parameters have another way to the loss, and where the rounded value is detached.

    ## Fix safety
    There is no automatic fix: a straight-through estimator changes what is learned.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.round.html
    """

    code, name, severity = "GRD108", "zero-gradient", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        stepped = {leaf for event in facts.of("step") for leaf in event.trained}
        alive: set[Tensor] = set()
        blocked: dict[Node, tuple[Event, set[Tensor]]] = {}
        for event in backwards(facts):
            live, dead = split(event.node)  # type: ignore[arg-type]
            alive |= live
            for node, leaves in dead.items():
                blocked.setdefault(node, (event, set()))[1].update(leaves)
        for node, (event, leaves) in blocked.items():
            lost = [leaf for leaf in leaves if leaf not in alive and leaf.requires_grad]
            if lost and node.at is not None:
                what = code(facts, node.at.node)
                message = f"the gradient of {what} is zero everywhere: it never moves {owners(lost)}"
                severity = Severity.WARNING if stepped.intersection(lost) else Severity.INFORMATION
                yield self.finding(place(node.at), message, [backward_step(facts, event)], severity=severity)


def split(root: Node) -> tuple[set[Tensor], dict[Node, set[Tensor]]]:
    """The leaves that a gradient other than zero may reach, and for each flat operation those behind it."""
    alive: set[Tensor] = set()
    flat: list[Node] = []
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        if node.leaf is not None:
            alive.add(node.leaf)
        if node.zero:
            flat.append(node)
            continue
        for edge in node.edges:
            if edge.flows is not False and edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    return alive, {node: _behind(node) for node in flat}


def _behind(node: Node) -> set[Tensor]:
    from gradls.flow.graph import leaves

    return set(leaves(node))
