"""GRD104."""

import ast
from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.flow.reach import walk
from gradls.rules import edits
from gradls.rules.finding import Fix, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule, is_call_of
from gradls.rules.words import place


class NumberInLoss(LostGradientRule):
    """A number read out of a tensor, and put back into a loss.

    ## What it finds
    `.item()`, `.tolist()`, `float(t)` and `int(t)` between parameters and a loss on which `backward()` is called. As
    information, the same between a part of a module and what its `forward` returns, in a file that does not train it.

    ## Why it matters
    The number has no history. What is computed from it is a constant for autograd: that term trains nothing, and a
    loss of such terms alone cannot be differentiated.

    ## What PyTorch does
    For a loss that is made of numbers only `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    A single term of a larger loss is lost silently.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    error = model(torch.randn(8, 3)).pow(2).mean().item()
    loss = torch.tensor(error)
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    model, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    x = torch.randn(8, 3)
    loss = model(x).pow(2).mean() + other(x).pow(2).mean().item()
    loss.backward()
    optimizer.step()
    assert other.weight.grad is None
    ```

    ## Use instead
    The tensor; `.item()` only for what is printed or stored.

    ```python
    import torch

    model, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    x = torch.randn(8, 3)
    loss = model(x).pow(2).mean() + other(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert other.weight.grad is not None
    print(loss.item())
    ```

    ## When it is silent
    For numbers that are logged, compared, or used as a factor of a loss that has its gradient otherwise.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = model(torch.randn(8, 3)).pow(2).mean()
    scaled = loss / loss.item()
    scaled.backward()
    optimizer.step()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: removing the call changes what is trained.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.item.html
    """

    code, name, severity = "GRD104", "number-in-loss", Severity.ERROR
    whole_file = True
    kinds = ("number",)
    does = "turns the value into a number without a gradient"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        node = lost.cut.cut.at.node
        if _weighs_a_score(facts, lost):
            # As a tensor it would be trained to make what was drawn more likely.
            return []
        build = edits.unwrap_call if is_call_of(node, "float", "int") and _is_plain(node) else edits.remove_call
        return [Fix("Keep the tensor", Safety.SUGGESTED, build(place(lost.cut.cut.at)))]


def _weighs_a_score(facts: Facts, lost: Lost) -> bool:
    """Is the number a factor of the logarithm of a probability, as the advantage of an action that was drawn?"""
    scores = {event.node for event in facts.of("log-prob") if event.node is not None}
    if not scores or lost.backward.node is None:
        return False
    for node in walk(lost.backward.node):
        if node.op in ("mul", "div", "truediv") and len(node.edges) == 2:
            for one, other in (node.edges, node.edges[::-1]):
                if one.flows and lost.cut in walk(other.node) and not scores.isdisjoint(walk(one.node, follow="flow")):
                    return True
    return False


def _is_plain(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
