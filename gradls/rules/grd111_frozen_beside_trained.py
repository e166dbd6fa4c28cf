"""GRD111."""

from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.flow.lost import backwards
from gradls.flow.reach import walk
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.grd110_nothing_requires_grad import _explicit
from gradls.rules.rule import Rule
from gradls.rules.words import backward_step, code, place


class FrozenBesideTrained(Rule):
    """A tensor made with `requires_grad=False` in a loss beside tensors that are trained.

    ## What it finds
    An explicit `requires_grad=False` on a tensor from which a loss is computed, where another tensor made the same way
    requires grad.

    ## Why it matters
    It is legal, and often meant: data and constants need no gradient. If the tensor is a weight, it never moves.

    ## What PyTorch does
    It runs. The `grad` of that tensor stays `None`.

    ## Example
    ```python
    import torch

    x = torch.randn(10, requires_grad=True)
    w = torch.randn(10, requires_grad=False)
    loss = (x * w).sum()
    loss.backward()
    assert w.grad is None
    ```

    ## Use instead
    `requires_grad=True` if the tensor is to be trained; nothing at all if it is data.

    ```python
    import torch

    x = torch.randn(10, requires_grad=True)
    w = torch.randn(10, requires_grad=True)
    loss = (x * w).sum()
    loss.backward()
    assert w.grad is not None
    ```

    ## When it is silent
    For tensors that do not say `requires_grad=False`, where only modules are trained beside them, and where the program
    says what it trains, by an optimizer or by what it reads the `grad` of, and the tensor is not among that.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    x = torch.randn(8, 3, requires_grad=False)
    model(x).sum().backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: only the author knows whether the tensor is to be trained.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """

    code, name, severity = "GRD111", "frozen-beside-trained", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        # Where the program says what it trains, all else is data.
        meant = {event.value for event in facts.of("grad-read")}
        meant.update(*(event.parameters for event in facts.of("optimizer-made")))
        for event in backwards(facts):
            assert event.node is not None
            trained = [leaf for leaf in event.reached if leaf.requires_grad]
            # Where modules are trained, tensors are data, also if one of them needs its gradient for a penalty.
            if not trained or any(leaf.is_parameter for leaf in trained) or event.requires_grad is not True:
                continue
            said = not meant.isdisjoint(trained)
            inside = {
                part for node in walk(event.node) if node.leaf is not None for part in walk(node) if part is not node
            }
            for node in walk(event.node):
                if (
                    node.leaf is None
                    or node in inside
                    or (said and node.leaf not in meant)
                    or node.at is None
                    or node.leaf.requires_grad is not False
                    or node.leaf.dtype in ("int", "bool")
                    or _explicit(node) is None
                ):
                    continue
                what, where = code(facts, node.at.node), code(facts, event.at.node)
                message = f"{what} gets no gradient from {where}: if it is to be trained, it needs `requires_grad=True`"
                build = edits.set_keyword(Place(facts.source_of(node.at.node), node.at.node), "requires_grad", "True")
                fix = Fix("Set `requires_grad=True`", Safety.SUGGESTED, build)
                yield self.finding(place(node.at), message, [backward_step(facts, event)], [fix])
