"""GRD526."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import members
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Class, Instance, Tensor, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.registration import made_in
from gradls.rules.rule import Rule
from gradls.rules.set_attributes import around, is_set_again
from gradls.rules.words import code, place

_MOVES = ("to", "cuda", "double", "half", "bfloat16")


class TensorLeftBehind(Rule):
    """A tensor that a module computes with, and that does not move with it.

    ## What it finds
    A tensor that `__init__` keeps as a plain attribute, and that goes into the loss of a model which is moved with
    `.to()` or `.cuda()`; or one of random numbers, which goes into what the model computes.

    ## Why it matters
    These convert parameters and buffers, and nothing else. The plain tensor stays on its device and in its type: on
    another device the forward raises. It is not saved with the model either: random numbers are others after loading.
    If they are meant to be trained, nobody does that.

    ## What PyTorch does
    On another device, at the first operation with both:

        RuntimeError: Expected all tensors to be on the same device

    ## Example
    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.mask = torch.tensor([1.0, 0.0, 1.0])

        def forward(self, x):
            return self.layer(x) * self.mask


    net = Net().to(torch.float64)
    net(torch.randn(2, 3, dtype=torch.float64)).sum().backward()
    assert net.mask.dtype is torch.float32 and "mask" not in net.state_dict()
    ```

    ## Use instead
    A buffer, which is converted and saved with the model.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0]))

        def forward(self, x):
            return self.layer(x) * self.mask


    net = Net().to(torch.float64)
    net(torch.randn(2, 3, dtype=torch.float64)).sum().backward()
    assert net.mask.dtype is torch.float64 and "mask" in net.state_dict()
    ```

    ## When it is silent
    Where the model is not moved in the file, where the tensor is converted before it is used, and where another method
    sets the random numbers again.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.mask = torch.tensor([1.0, 0.0, 1.0])

        def forward(self, x):
            return self.layer(x) * self.mask.to(x)


    net = Net().to(torch.float64)
    net(torch.randn(2, 3, dtype=torch.float64)).sum().backward()
    assert net.layer.weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_buffer
    """

    code, name, severity = "GRD526", "tensor-left-behind", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        random = dict(facts.each(_random))
        if random:
            yield from self._of_random(facts, random)
        told = {event.at.node for event in random.values()}
        for event, at in facts.each(_left_behind):
            if event.at.node not in told:
                message = (
                    f"{code(facts, event.at.node)} is a plain tensor: {code(facts, at.node)} leaves it where it is, "
                    "and the state dictionary does not have it; use `register_buffer()`"
                )
                yield self.finding(place(event.at), message, [Step(place(at), "the model is converted here")])

    def _of_random(self, facts: Facts, random: dict[Node, Event]) -> Iterator[Finding]:
        """Random numbers that go into what is differentiated, or into what a `forward` gives."""
        roots = [event.node for event in facts.of("backward") if event.node is not None]
        for event in facts.of("return"):
            if event.value is not None and getattr(event.function, "name", "") == "forward":
                roots += [tensor.node for tensor in tensors_in(event.value) if isinstance(tensor, Tensor)]
        used = {node for root in roots for node in walk(root)}
        told: set[ast.AST] = set()
        for node, event in random.items():
            if node in used and event.at.node not in told:
                told.add(event.at.node)
                message = (
                    f"{code(facts, event.at.node)} is made of random numbers, and is neither a parameter nor a buffer: "
                    "nothing trains it, and a saved model is loaded with others. Use `nn.Parameter`, or "
                    "`register_buffer()` if it stays as it is"
                )
                yield self.finding(place(event.at), message)


def _left_behind(facts: Facts) -> Iterator[tuple[Event, At]]:
    """Plain tensors that go into a loss, and where the module that keeps them is converted."""
    roots = [event.node for event in facts.of("backward") if event.node is not None]
    if not roots:
        return
    kept = {event.assigned: event for event in facts.of("attribute-set") if _is_plain(event)}
    if not kept:
        return
    moved: dict[Value | None, At] = dict(_moved(facts))
    used = {
        node.leaf or node
        for root in roots
        for user in walk(root, follow="maybe")
        if user.op not in _CONVERTS
        for node in (edge.node for edge in user.edges)
    }
    for tensor, event in kept.items():
        at = moved.get(event.value)
        if at is not None and (tensor in used or tensor.node in used):
            yield event, at


def _random(facts: Facts) -> Iterator[tuple[Node, Event]]:
    """The random numbers that modules keep. What is put in their place later counts instead of them."""
    last = {(event.value, event.name): event for event in facts.of("attribute-set")}
    for event in last.values():
        if _is_random(event):
            yield event.assigned.node, event


_RANDOM = frozenset(("randn", "rand", "normal", "randn_like", "rand_like", "randperm"))


def _is_random(event: Event) -> bool:
    """Does a constructor keep random numbers that it draws, or what it computes from them alone, and that no other
    method sets?"""
    module, tensor = event.value, event.assigned
    if not isinstance(module, Instance) or not isinstance(tensor, Tensor) or not made_in(event, "__init__"):
        return False
    if tensor.is_parameter or tensor.requires_grad is not False or event.name in module.data.get("buffers", ()):
        return False
    if is_module(module) is not True or not isinstance(event.at.node, ast.Attribute):
        return False
    leaves = [node for node in walk(tensor.node) if not node.edges]
    of_class = around(event.at, ast.ClassDef)
    own = all(node.op in _RANDOM and node.at and around(node.at, ast.ClassDef) is of_class for node in leaves)
    return bool(leaves) and own and not is_set_again(event)


_CONVERTS = frozenset(("to", "cuda", "cpu", "double", "float", "half", "bfloat16", "type", "type_as", "maybe-copy"))


def _is_plain(event: Event) -> bool:
    """Does a constructor keep a new tensor that does not require grad, on the default device?"""
    module, calls = event.value, event.calls
    if calls is None or calls[1].name != "__init__" or not isinstance(module, Instance):
        return False
    tensor = event.assigned
    if not isinstance(tensor, Tensor) or not isinstance(module.cls, Class) or tensor.node.at is None:
        return False
    if tensor.is_parameter or tensor.leaf is not True or tensor.requires_grad is not False:
        return False
    if is_module(module) is not True:
        return False
    keywords = {keyword.arg for keyword in getattr(tensor.node.at.node, "keywords", ())}
    statement = event.at.source.parent(event.at.node)
    if any(getattr(part, "attr", "") in ("to", "cuda") for part in ast.walk(statement or event.at.node)):
        return False  # it is moved by hand
    return "device" not in keywords and event.name not in module.data.get("buffers", ())


def _moved(facts: Facts) -> Iterator[tuple[Value, At]]:
    """The modules that are converted, with those inside of them, and where."""
    for node, records in facts.called(*_MOVES):
        for function, call, _ in records:
            if isinstance(function, Bound) and function.name in _MOVES and (call.args or function.name != "to"):
                for module in _with_inner(function.receiver, 0):
                    yield module, At(facts.source_of(node), node)


def _with_inner(value: Value, depth: int) -> Iterator[Instance]:
    if isinstance(value, Instance) and is_module(value) is True and depth < 6:
        yield value
        for _, member in members(value):
            yield from _with_inner(member, depth + 1)
