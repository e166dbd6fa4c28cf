"""GRD210."""

import ast
from collections.abc import Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, Write
from gradls.flow.models.modules import parameters_of
from gradls.flow.paths import meets
from gradls.flow.reach import flow_of, walk
from gradls.flow.values import Mapping, Tensor
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import kept, maker, shown, statement_of
from gradls.rules.words import code, place


class WrittenBehindAutograd(Rule):
    """A tensor that backward still needs is overwritten without autograd noticing.

    ## What it finds
    A write through `.data`, or into the NumPy array of a detached tensor, to memory that an earlier operation keeps for
    backward, where that backward comes later.

    And a step with a gradient that has a graph (`create_graph=True`), written through `.data` or with `load_state_dict`
    into a tensor, where a later backward goes through that tensor.

    ## Why it matters
    Autograd counts the in-place writes to a tensor and refuses a backward that would need a value from before. Writes
    through `.data` and through NumPy are not counted: backward takes the new values for the old ones, and the gradients
    are wrong. A step that is written like this is no part of the graph: an outer gradient is that of the tensor before
    the step, as if the step did not depend on it.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    loss = y.pow(2).sum()
    y.data.mul_(10)
    loss.backward()
    assert x.grad.tolist() == [80, 80, 80]  # it should be 8
    ```

    ```python
    import torch

    x = torch.zeros(3, requires_grad=True)
    y = x.exp()
    y.detach().numpy()[0] = 0
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1]
    ```

    ```python
    import torch

    w = torch.tensor(2.0, requires_grad=True)
    fast = w * 1
    (gradient,) = torch.autograd.grad(fast.pow(2), fast, create_graph=True)
    fast.data -= 0.1 * gradient.data
    fast.pow(2).backward()
    assert round(w.grad.item(), 4) == 3.2  # of (w - 0.1 * 2 * w) ** 2 it is 2.56
    ```

    ## Use instead
    A new tensor, or the write after the backward. With `detach()` in the place of `.data` the write is counted, and the
    backward raises where it would be wrong.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    loss = y.pow(2).sum()
    larger = y.detach() * 10
    loss.backward()
    y.data.mul_(10)
    assert x.grad.tolist() == [8, 8, 8]
    ```

    ```python
    import torch

    w = torch.tensor(2.0, requires_grad=True)
    fast = w * 1
    (gradient,) = torch.autograd.grad(fast.pow(2), fast, create_graph=True)
    fast = fast - 0.1 * gradient
    fast.pow(2).backward()
    assert round(w.grad.item(), 4) == 2.56
    ```

    ## When it is silent
    For writes before the forward and after the backward, as in an update by hand, and where nothing is kept.

    ```python
    import torch

    w = torch.ones(3, requires_grad=True)
    for _ in range(2):
        (w * torch.ones(3)).pow(2).sum().backward()
        w.data -= 0.1 * w.grad
        w.grad = None
    assert w.requires_grad
    ```

    ## Fix safety
    There is none: what the gradient is meant to be of is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks
    """

    code, name, severity = "GRD210", "written-behind-autograd", Severity.WARNING

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("hidden-write"):
            yield self.report(facts, event)
        yield from self._missed_steps(facts)

    def _missed_steps(self, facts: Facts) -> Iterator[Finding]:
        hidden = facts.numbered("write", "data-set", "load-state-dict")
        steps = [(number, event, *one) for number, event in hidden for one in _hidden(event)]
        if not steps or any(event.node is None for event in facts.of("backward")):
            return
        told: set[ast.AST] = set()
        differentiated = {node for root in _roots(facts) for node in walk(root, follow="maybe")}
        for number, event, target, written in steps:
            statement = facts.statement(event.at.node) or event.at.node
            if statement in told:
                continue
            step = next((node for node in _gradients(written, target.node) if node not in differentiated), None)
            if step is None or (target.leaf is not False and step not in walk(written, follow="flow")):
                continue  # a leaf is stepped like this on purpose, with the values of the gradient
            backward = next((other for other in facts.events[number:] if _goes_through(other, event, target)), None)
            if backward is not None and step.at is not None:
                told.add(statement)
                what = f"`{target.name}`" if target.name else "the tensor"
                message = (
                    f"{code(facts, statement)} makes a step that autograd does not see, in spite of "
                    f"`create_graph=True`: {code(facts, backward.at.node)} differentiates as if the step did not "
                    f"depend on {what}. If it is to be differentiated too, make a new tensor"
                )
                story = [
                    Step(place(step.at), "the gradient is computed here, with a graph"),
                    Step(place(backward.at), "this backward goes past the step"),
                ]
                yield self.finding(Place(event.at.source, statement), message, story, severity=Severity.INFORMATION)

    def report(self, facts: Facts, event: Event) -> Finding:
        write, node = event.write, event.node
        assert node is not None
        what = kept(event.saved)
        needed = f"the result of {maker(facts, node)}" if what == "its result" else what
        by = "which backward needs" if what == "its result" else f"which {maker(facts, node)} keeps for backward"
        message = (
            f"{shown(facts, write.at)} overwrites {needed}, {by}, and autograd does not notice: "
            f"{code(facts, event.at.node)} computes wrong gradients"
        )
        severity, mask = None, _repeated_factor(facts, write, node)
        if mask is not None:
            severity, message = (
                Severity.INFORMATION,
                f"{message}, unless {code(facts, mask)} is a mask of zeros and ones",
            )
        story = [Step(place(node.at), f"this keeps {what} for backward")] if node.at is not None else []
        story.append(Step(place(event.at), "this backward takes the new values for the old ones"))
        return self.finding(Place(write.at.source, statement_of(facts, write.at)), message, story, severity=severity)


def _repeated_factor(facts: Facts, write: Write, keeper: Node) -> ast.expr | None:
    """What `w.data *= mask` multiplies with, where it did so before the value was kept: masked twice is masked once."""
    statement = facts.statement(write.at.node)
    if not isinstance(statement, ast.AugAssign) or not isinstance(statement.op, ast.Mult):
        return None
    before = any(event.at.node is write.at.node and event.clock < keeper.born for event in facts.of("write"))
    return statement.value if before and not isinstance(statement.value, ast.Constant) else None


def _roots(facts: Facts) -> Iterator[Node]:
    """What the program differentiates, or unknown code may."""
    for event in facts.of("backward", "grad-call", "unknown-call"):
        if event.kind == "unknown-call":
            parts = (part for value in event.arguments for part in tensors_in(value))
            yield from (part.node for part in parts if isinstance(part, Tensor))
        else:
            yield from event.nodes if event.kind == "grad-call" else [event.node] if event.node is not None else []


def _hidden(event: Event) -> Iterator[tuple[Tensor, Node]]:
    """The tensors to which `x.data = y`, an operation in place on `x.data`, or `load_state_dict` writes, each with what
    is written to it."""
    value = event.value
    if event.kind == "load-state-dict":
        given = event.given.entries if isinstance(event.given, Mapping) else {}
        for name, parameter in parameters_of(value)[0] if given and value is not None else ():
            written = given.get(name)
            if isinstance(written, Tensor) and written.requires_grad is True:
                yield parameter, written.node
        return
    if event.kind == "write":
        behind = isinstance(value, Tensor) and value.storage.behind is not None
        value = value.data if behind and isinstance(value, Tensor) else None
    written = event.info.get("assigned") if event.kind == "data-set" else None
    node = written.node if isinstance(written, Tensor) else event.node
    if isinstance(value, Tensor) and value.requires_grad is True and node is not None:
        yield value, node


def _gradients(root: Node, target: Node) -> Iterator[Node]:
    """The gradients with a graph of their own that a value was computed with, other than by way of `target`."""
    seen, todo = {root, target}, [root]
    while todo:
        node = todo.pop()
        if node.op == "grad":
            if node.kind == "op" and node.cut is None and flow_of(node) is True:
                yield node
            continue
        new = [edge.node for edge in node.edges if edge.node not in seen]
        seen.update(new)
        todo += new


def _goes_through(event: Event, write: Event, target: Tensor) -> bool:
    """Does this backward go through something that was computed with the target after the write?"""
    if event.kind != "backward" or event.node is None or not meets(event.path, write.path):
        return False
    return any(
        node.fields.born > write.clock and any(edge.node is target.node and edge.flows for edge in node.edges)
        for node in walk(event.node, follow="flow")
    )
