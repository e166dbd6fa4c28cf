"""GRD110."""

import ast
from collections.abc import Iterable, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, frontier, walk
from gradls.flow.lost import backwards, without_gradient
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import backward_step, code, place


class NothingRequiresGrad(Rule):
    """A loss in which nothing requires grad.

    ## What it finds
    A `backward()` on a value that was computed from tensors of which none requires grad: plain data, frozen parameters,
    tensors with `requires_grad=False`.

    ## Why it matters
    There is nothing to differentiate with respect to: autograd recorded no operation.

    ## What PyTorch does
    It raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch

    w = torch.randn(3)
    x = torch.randn(8, 3)
    loss = (x @ w).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    ```python
    import torch

    w = torch.randn(3, requires_grad=True)
    x = torch.randn(8, 3)
    loss = (x @ w).pow(2).mean()
    loss.backward()
    assert w.grad is not None
    ```

    ## When it is silent
    Where it is not known whether a tensor requires grad, such as an argument of a function.

    ## Fix safety
    Suggested: which tensor is meant to be trained only the author knows.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """

    code, name, severity = "GRD110", "nothing-requires-grad", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in backwards(facts):
            assert event.node is not None
            # Unknown code that was given a leaf may have told it to require grad.
            if any(node.leaf is not None and node.leaf.fields.get("escaped") for node in walk(event.node)):
                continue
            if without_gradient(event) and not frontier(event.node):
                yield self._report(facts, event)

    def _report(self, facts: Facts, event: Event) -> Finding:
        assert event.node is not None
        sources = [node for node in walk(event.node) if node.leaf is not None and node.at is not None]
        explicit = [node for node in sources if _explicit(node) is not None]
        message = f"nothing in this loss requires grad: {code(facts, event.at.node)} raises"
        if explicit:
            message += "; `requires_grad=False` is written here"
            fixes: Sequence[Fix] = [_set_true(facts, explicit[0])]
            story = [Step(place(node.at), "this tensor does not require grad") for node in explicit if node.at]
        else:
            message += ". Give what is to be trained `requires_grad=True`"
            fixes = ()
            story = [Step(place(node.at), "this tensor does not require grad") for node in sources[:3] if node.at]
        return self.finding(place(event.at), message, [*story, backward_step(facts, event)], fixes)


def _explicit(node: Node) -> ast.keyword | None:
    """The `requires_grad=False` with which a tensor was made."""
    call = node.at.node if node.at is not None else None
    if isinstance(call, ast.Call):
        for keyword in call.keywords:
            if (
                keyword.arg == "requires_grad"
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value is False
            ):
                return keyword
    return None


def _set_true(facts: Facts, node: Node) -> Fix:
    assert node.at is not None
    build = edits.set_keyword(Place(facts.source_of(node.at.node), node.at.node), "requires_grad", "True")
    return Fix("Set `requires_grad=True`", Safety.SUGGESTED, build)
