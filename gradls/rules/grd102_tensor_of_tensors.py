"""GRD102."""

import ast
from collections.abc import Iterable, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.hierarchy import is_module_class
from gradls.flow.lost import Lost, lost_gradients
from gradls.flow.values import Host, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code, origin, place


class TensorOfTensors(LostGradientRule):
    """A list of tensors copied into a new tensor, which drops their history.

    ## What it finds
    `torch.tensor(...)`, `torch.as_tensor`, `torch.asarray`, `torch.Tensor`, `torch.FloatTensor` and `x.new_tensor` of a
    list, tuple or comprehension of tensors that have a gradient.

    ## Why it matters
    The new tensor has the numbers and nothing else: no gradient goes back to the tensors in the list. With
    `requires_grad=True` the copy looks trainable, `backward()` runs, and what made the list still learns nothing.

    ## What PyTorch does
    Nothing is said about the lost history. If the copy is all that the loss is made of, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
    loss = torch.tensor(losses).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    penalties = [parameter.pow(2).sum() for parameter in model.parameters()]
    loss = torch.tensor(penalties, requires_grad=True).sum()
    loss.backward()
    assert model.weight.grad is None
    ```

    ## Use instead
    `torch.stack`, which is recorded.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
    loss = torch.stack(losses).mean()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For lists of numbers and of tensors without a gradient. Where the copy reaches no `backward()` in the file, the
    finding is only an information.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
    print(torch.tensor([loss.item() for loss in losses]).mean())
    torch.stack(losses).sum().backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Safe where a loss needs the copy, and all that it copies is known to be tensors without dimensions: the values are
    the same, and the history is kept. Suggested otherwise. None for lists with numbers in them.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.stack.html
    - https://docs.pytorch.org/docs/stable/generated/torch.tensor.html
    """

    code, name, severity = "GRD102", "tensor-of-tensors", Severity.ERROR
    whole_file = True
    kinds = ("copy",)
    untrained = Severity.WARNING
    does = "copies the values and drops their history"

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from super().check(facts)
        costly = {node for lost in lost_gradients(facts) for node in (lost.cut, *lost.others)}
        for event in facts.of("copied"):
            node = event.node
            if node is None or node.cut is None or node.cut.kind != "copy" or node in costly:
                continue
            if event.flag is not True and _is_looked_at(facts, event.at.node):
                continue
            if node.cut.certain:
                yield self._without_backward(facts, event)
            elif _may_be_trained(event):
                message = (
                    f"{code(facts, event.at.node)} {self.does}: if these depend on parameters, nothing is trained "
                    "through it"
                )
                fixes = self._stack(facts, event.at.node)
                yield self.finding(place(event.at), message, origin(node), fixes, Severity.INFORMATION)

    def _without_backward(self, facts: Facts, event: Event) -> Finding:
        """The finding for a copy that no loss is known to need."""
        assert event.node is not None
        what = code(facts, event.at.node)
        if event.flag is True:
            message = f"{what} makes a new leaf, and its gradient never reaches the tensors in the list"
            severity = Severity.WARNING
        else:
            message = f"{what} {self.does}: a loss that is computed from it trains nothing behind it"
            severity = Severity.INFORMATION
        fixes = self._stack(facts, event.at.node)
        return self.finding(place(event.at), message, origin(event.node), fixes, severity)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        return self._stack(facts, lost.cut.cut.at.node, lost.cut)

    def _stack(self, facts: Facts, node: ast.AST, needed: Node | None = None) -> Sequence[Fix]:
        """`needed` is the copy, if a loss needs it. Of a tensor of one element `torch.tensor` takes the number, and
        `torch.stack` the tensor."""
        parts = [part for event in facts.of("copied") if event.at.node is node for part in event.parts]
        if any(isinstance(part, Host) for part in parts):
            return ()  # numbers cannot be stacked
        safe = needed and parts and all(isinstance(part, Tensor) and part.shape == () for part in parts)
        build = edits.stack(Place(facts.source_of(node), node), torch_name=facts.torch_name)
        return [Fix("Use `torch.stack`", Safety.SAFE if safe else Safety.SUGGESTED, build)]


def _is_looked_at(facts: Facts, node: ast.AST) -> bool:
    """Does the copy become numbers at once: `torch.tensor(losses).mean().item()`?"""
    outer = facts.parent(node)
    while isinstance(outer, (ast.Attribute, ast.Call)) and not (isinstance(outer, ast.Call) and outer.func is not node):
        if isinstance(outer, ast.Attribute) and outer.attr in ("numpy", "tolist", "item", "detach"):
            return True
        node, outer = outer, facts.parent(outer)
    return False


def _may_be_trained(event: Event) -> bool:
    """Does a method of a module copy what it computed from what it was given?"""
    computes = any(function.owner is not None and is_module_class(function.owner) for _, function in event.callers())
    if not computes or not all(isinstance(part, Tensor) for part in event.parts):
        return False
    return any(part.requires_grad is None and part.dtype not in ("int", "bool") for part in event.parts)
