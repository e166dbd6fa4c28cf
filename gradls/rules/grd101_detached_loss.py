"""GRD101."""

import ast
from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.numpy_fixes import in_pytorch
from gradls.rules.words import place


class DetachedLoss(LostGradientRule):
    """A loss, a term of it, or a model that `.detach()` or `.data` cut off.

    ## What it finds
    A call of `detach()` or `detach_()`, or a use of `.data`, between parameters and a loss on which `backward()` is
    called, where that was the only way for the gradient to reach them. As information, the same between a part of a
    module and what its `forward` returns, in a file that does not train it; and of a network that is given to a
    function, where there are more optimizers than networks that get a gradient.

    ## Why it matters
    `detach()` gives the same values without their history. If nothing else in the loss has one, `backward()` raises.
    If something else has, training goes on, and the parameters behind the cut silently stay as they are.

    ## What PyTorch does
    For a loss without any graph it raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    Otherwise it says nothing: the `grad` of the parameters behind the cut stays `None`, and an optimizer skips them.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    prediction = model(torch.randn(8, 3)).detach()
    loss = (prediction - torch.ones(8, 1)).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    loss = head(encoder(torch.randn(8, 3)).data).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert encoder.weight.grad is None
    ```

    ## Use instead
    The tensor itself.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    prediction = model(torch.randn(8, 3))
    loss = (prediction - torch.ones(8, 1)).pow(2).mean()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    Where detaching is meant: what is detached is only logged or stored, is the target of the loss, belongs to no
    optimizer, or is trained by another backward (the generator in a discriminator's step, a hidden state that is
    carried from batch to batch).

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    for _ in range(2):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.detach())
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: removing the call changes what is trained. None for what a list keeps, which would keep its graph.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    code, name, severity = "GRD101", "detached-loss", Severity.ERROR
    whole_file = True
    kinds = ("detach", "data")
    does = "cuts the value off from its gradient"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        at = place(lost.cut.cut.at)
        around = facts.parent(at.node)
        targets = around.targets if isinstance(around, ast.Assign) else []
        if any(isinstance(target, ast.Attribute) and target.attr == "data" for target in targets):
            return []  # what is assigned to `.data` is cut off with or without the call
        if _is_kept_in_list(facts, lost):
            return []  # it would keep the graph of this round for a later one
        whole, host = _to_host(facts, at.node)
        if host == "numpy":
            return in_pytorch(facts, lost, whole)
        if host == "tolist":
            return []
        return [Fix("Remove the detaching call", Safety.SUGGESTED, edits.remove_call(Place(at.source, whole)))]


def _to_host(facts: Facts, node: ast.AST) -> tuple[ast.AST, str]:
    """The call that turns what is cut off into a number or an array, right behind the cut, and its name."""
    inner = node
    while True:
        outer = facts.parent(inner)
        call = facts.parent(outer) if isinstance(outer, ast.Attribute) and outer.value is inner else None
        if not isinstance(outer, ast.Attribute) or not isinstance(call, ast.Call) or call.func is not outer:
            return node, ""
        if outer.attr in ("item", "numpy", "tolist"):
            return call, outer.attr
        if outer.attr != "cpu":
            return node, ""
        inner = call


def _is_kept_in_list(facts: Facts, lost: Lost) -> bool:
    """Does a list get what was cut off, or a part of it?"""
    function = facts.function(lost.cut.cut.at.node) if lost.cut.cut is not None else None
    for event in facts.of("append"):
        value = event.appended
        if not isinstance(value, Tensor) or facts.function(event.at.node) is not function:
            continue
        if any(node is lost.cut for node in walk(value.node)):
            return True
    return False
