"""GRD303."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.paths import Round
from gradls.flow.values import Bound, Host, Mapping, Nothing, Sequence, Unknown, is_none
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import is_on_the_way, rounds_of
from gradls.rules.words import code, place


class BackwardOfNoTensor(Rule):
    """Backward is called on something that is no tensor.

    ## What it finds
    A call of `backward()` on a Python number, on None, on a list or on a tuple: the result of `item()` or `float()`, a
    sum that began with 0 and got no term, or what a recurrent layer returns. And a number that the `training_step` of
    a LightningModule returns, that is given to what calls `backward()` on it, as Accelerate does, or that takes the
    place of the loss on one branch.

    ## Why it matters
    A number has no graph. Where it came from a tensor, the tensor is what has to be kept; the number is for the log.

    ## What PyTorch does
    Nothing: Python raises, for example

        AttributeError: 'float' object has no attribute 'backward'

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = model(torch.randn(8, 3)).mean().item()
    loss.backward()  # raises AttributeError: 'float' object has no attribute 'backward'
    ```

    ```python
    import torch

    rnn = torch.nn.LSTM(3, 4)
    out = rnn(torch.randn(5, 8, 3))
    out.backward()  # raises AttributeError: 'tuple' object has no attribute 'backward'
    ```

    ## Use instead
    The tensor, and its number where one is wanted.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = model(torch.randn(8, 3)).mean()
    loss.backward()
    total = loss.item()
    assert model.weight.grad is not None
    ```

    ```python
    import torch

    rnn = torch.nn.LSTM(3, 4)
    out, (hidden, cell) = rnn(torch.randn(5, 8, 3))
    out.mean().backward()
    assert rnn.weight_hh_l0.grad is not None
    ```

    ## When it is silent
    Where the value may be a tensor on another way through the program, and in a branch of a function which other calls
    give something that has a `backward`.

    ## Fix safety
    There is none: where the tensor was lost is for a person to find, and the message says where.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.item.html
    """

    code, name, severity = "GRD303", "backward-of-no-tensor", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("backward-of-no-tensor"):
            if event.info.get("by") is not None:
                yield self.given(facts, event)
            elif not event.caught and not _is_for_others(facts, event):
                yield self.report(facts, event)
        for event in facts.of("backward-of-number"):
            if not event.caught and _is_of_this_round(facts, event):
                yield self.on_a_branch(facts, event)

    def on_a_branch(self, facts: Facts, event: Event) -> Finding:
        """By branch of the same function, it is the number that was read out of a tensor."""
        assert event.node is not None
        assert event.node.at is not None
        called = event.at.node
        what = code(facts, called.value if isinstance(called, ast.Attribute) else called)
        number = code(facts, event.node.at.node)
        message = (
            f"{what} is the number {number} on one branch, which has no graph and no `backward`: it raises there. "
            "Keep the tensor"
        )
        return self.finding(place(event.at), message, [Step(place(event.node.at), "on this branch it is a number")])

    def given(self, facts: Facts, event: Event) -> Finding:
        """A number that was read out of a tensor is given to the `backward` of something unknown."""
        call = event.at.node
        assert isinstance(call, ast.Call)
        message = (
            f"{code(facts, call.args[0])} is a number, which has no graph: if {code(facts, call.func)} is to "
            "differentiate the loss, it raises. Give it the tensor"
        )
        node = event.value.node if isinstance(event.value, Host) else None
        story = [Step(place(node.at), "here the tensor becomes a number")] if node and node.at is not None else []
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def report(self, facts: Facts, event: Event) -> Finding:
        value = event.value
        node = event.at.node
        what = "this"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = _given(node) if event.info.get("given") else None
            named = node.func.value if given is None else given
            while isinstance(named, ast.UnaryOp) and value is not None and is_none(value):
                named = named.operand  # What is None is what the sign stands before.
            what = code(facts, named)
        elif isinstance(node, ast.Return) and node.value is not None:
            what = f"{code(facts, node.value)}, on which the trainer calls `backward()`,"
        story = []
        if isinstance(value, Sequence):
            message = f"{what} is a {value.kind}, which has no `backward`: it raises. Take the tensor out of it"
        elif isinstance(value, Host) and isinstance(value.node, Node):
            message = f"{what} is a number, which has no graph and no `backward`: it raises. Keep the tensor"
            if value.node.at is not None:
                story.append(Step(place(value.node.at), "here the tensor becomes a number"))
        elif isinstance(value, Host) and value.kind == "none":
            message = f"{what} is None, which has no `backward`: it raises"
            if isinstance(value, Nothing):
                story.append(Step(place(value.made), "this call returns nothing"))
        else:
            message = f"{what} is a Python value, which has no `backward`: it raises. Start from a tensor"
        return self.finding(place(event.at), message, story)


def _is_of_this_round(facts: Facts, event: Event) -> bool:
    """Was a number read in the very round, and the very call, in which `backward` of it is called, which no branch
    keeps from being called then?"""
    node = event.node
    if node is None or node.at is None or node.at.source is not event.at.source:
        return False
    if facts.function(node.at.node) is not facts.function(event.at.node):
        return False
    return rounds_of(node.path) == rounds_of(event.path) and is_on_the_way(event.path, node.path)


def _given(call: ast.Call) -> ast.expr | None:
    """The loss that is given to what calls `backward()` on it, as Accelerate does."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("loss", "tensor")]
    return call.args[0] if call.args else named[0] if named else None


def _is_for_others(facts: Facts, event: Event) -> bool:
    """Does a branch lead to this call for which another caller gives something that has a `backward`?"""
    node = event.at.node
    path = event.path
    while path is not None and isinstance(path[1], Round):
        path = path[0]
    if not isinstance(node, ast.Call) or event.calls is None or path is None:
        return False
    return any(
        isinstance(function, Unknown)
        or (isinstance(function, Bound) and not isinstance(function.receiver, (Host, Mapping, Sequence)))
        for function, _, _ in facts.evaluations(node)
    )
