"""GRD528."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Severity
from gradls.rules.registration import made_in
from gradls.rules.rule import Rule
from gradls.rules.set_attributes import is_set_again
from gradls.rules.words import code, place


class WeightNotParameter(Rule):
    """A tensor that a module keeps and computes with as with a weight, and that is no parameter.

    ## What it finds
    A plain tensor that `__init__` keeps on a module, with which `forward` computes what it returns, and that only makes
    sense if it is trained: one that `torch.nn.init` fills, or nobody; ones that everything is multiplied by, or zeros
    that are added, and that nobody changes.

    ## Why it matters
    `model.parameters()` does not have it, so no optimizer does, and it stays as it was made: a scale of ones and a bias
    of zeros do nothing at all. It is not moved with `model.to()` or saved with the state dictionary, either.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch
    from torch import nn


    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = torch.ones(3)
            self.beta = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return self.gamma * x + self.beta


    assert [name for name, _ in Scale().named_parameters()] == ["beta"]
    ```

    ```python
    import torch
    from torch import nn


    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.empty(3, 3)
            nn.init.xavier_uniform_(self.weight)

        def forward(self, x):
            return x @ self.weight


    assert list(Layer().parameters()) == [] and not Layer()(torch.ones(1, 3)).requires_grad
    ```

    ## Use instead
    `nn.Parameter`, or `register_buffer()` for what is to stay as it is.

    ```python
    import torch
    from torch import nn


    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(3))
            self.beta = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return self.gamma * x + self.beta


    assert len(list(Scale().parameters())) == 2
    ```

    ## When it is silent
    Where something sets the tensor or writes into it later, and for buffers.

    ```python
    import torch
    from torch import nn


    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.mask = torch.ones(3)

        def drop(self, index):
            self.mask[index] = 0

        def forward(self, x):
            return self.layer(x) * self.mask


    net = Masked()
    net.drop(1)
    assert net(torch.ones(1, 3))[0, 1] == 0
    ```

    ## Fix safety
    There is no automatic fix: what is said of the tensor may be meant.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    code, name, severity = "GRD528", "weight-not-parameter", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        kept = dict(facts.each(_kept))
        if not kept:
            return
        written = {event.value for event in facts.of("write")}
        filled = {event.value for event in facts.of("init")}
        given = {event.value for event in facts.of("copied")}
        users = _users(facts)
        for tensor, event in kept.items():
            uses = users.get(tensor.node, ())
            if not uses or tensor in written or is_set_again(event):
                continue
            what = code(facts, event.at.node)
            if tensor in filled:
                message = (
                    f"{what} is initialized like a weight, and is a plain tensor: no optimizer gets it, and it stays "
                    "as it is. Make it an `nn.Parameter`, or a buffer if it is not to be trained"
                )
            elif all(user.op in _NEUTRAL.get(tensor.node.op, ()) for user in uses):
                message = (
                    f"{what} has no effect: it is a plain tensor of {tensor.node.op}, which nothing trains or sets. "
                    "Make it an `nn.Parameter`"
                )
            elif tensor.node.op in _UNINITIALIZED and tensor not in given:
                message = (
                    f"{what} is a plain tensor that nothing fills: it has what was in memory, and nobody trains it. "
                    "Make it an `nn.Parameter`, and initialize it"
                )
            else:
                continue
            yield self.finding(place(event.at), message)


_NEUTRAL = {"ones": frozenset(("mul",)), "zeros": frozenset(("add",))}
"""Operations that such a tensor does not change the result of."""


def _kept(facts: Facts) -> Iterator[tuple[Tensor, Event]]:
    """The plain tensors that constructors keep. What is put in their place later counts instead of them."""
    last = {(event.value, event.name): event for event in facts.of("attribute-set")}
    for event in last.values():
        if _is_kept(event):
            yield event.assigned, event


def _is_kept(event: Event) -> bool:
    """Does the constructor of a module keep a new plain tensor that does not require grad?"""
    module, tensor = event.value, event.assigned
    if not isinstance(module, Instance) or not isinstance(tensor, Tensor):
        return False
    if tensor.is_parameter or tensor.leaf is not True or tensor.requires_grad is not False or tensor.node.edges:
        return False
    if event.name in module.data.get("buffers", ()) or not made_in(event, "__init__"):
        return False
    if tensor.shape is not None and 0 in tensor.shape:
        return False  # It has no elements.
    return isinstance(event.at.node, ast.Attribute) and is_module(module) is True and tensor.node.op in _MADE


_UNINITIALIZED = frozenset(("empty", "Tensor", "FloatTensor"))
_MADE = frozenset(("ones", "zeros", "rand", "randn", "full", *_UNINITIALIZED))


def _users(facts: Facts) -> dict[Node, list[Node]]:
    """The nodes in what a `forward` returns, by those that they are computed from."""
    roots: list[Node] = []
    for event in facts.of("return"):
        if getattr(event.function, "name", "") == "forward":
            roots += _nodes(event)
    found: dict[Node, list[Node]] = {}
    for node in dict.fromkeys(node for root in roots for node in walk(root)):
        for edge in node.edges:
            found.setdefault(edge.node, []).append(node)
    return found


def _nodes(event: Event) -> Iterator[Node]:
    for part in tensors_in(event.value) if event.value is not None else ():
        if isinstance(part, Tensor):
            yield part.node
