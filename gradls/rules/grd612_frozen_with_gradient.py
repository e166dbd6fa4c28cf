"""GRD612."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Fix, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import put
from gradls.rules.training_order import Moment, Order, is_on_the_way, order_of, receiver_of
from gradls.rules.words import code, owners, place


class FrozenWithGradient(Rule):
    """A parameter that is frozen after `backward()`, and still moves.

    ## What it finds
    `requires_grad = False` on a parameter that has a gradient, followed by `step()` of an optimizer that holds it, with
    nothing in between that clears the gradient. And a `zero_grad(set_to_none=False)` in between, which leaves a
    gradient of zero: an optimizer with weight decay, momentum or averages goes on moving the parameter.

    ## Why it matters
    An optimizer does not look at `requires_grad`: it steps every parameter whose `grad` is not None. The frozen one
    moves once more, and with momentum in each further step until its gradient is cleared.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    weight.requires_grad_(False)
    optimizer.step()
    assert weight.item() != 1
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    weight.requires_grad_(False)
    before = weight.item()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert weight.item() != before
    ```

    ## Use instead
    Clear the gradient of what is frozen, or freeze before `backward()`.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    weight.requires_grad_(False)
    weight.grad = None
    optimizer.step()
    assert weight.item() == 1
    ```

    ## When it is silent
    Where the gradients are cleared before the next step, as at the beginning of each round.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(4):
        if epoch == 2:
            model[0].requires_grad_(False)
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert model[0].weight.grad is None
    ```

    ## Fix safety
    Suggested: it takes the gradient away where the parameters are frozen.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """

    code, name, severity = "GRD612", "frozen-with-gradient", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        frozen = [
            (number, event) for number, event in facts.numbered("requires-grad-set", "freeze") if event.flag is False
        ]
        if not frozen:
            return
        order = order_of(facts)
        for number, event in frozen:
            tensors = set(event.parameters if event.kind == "freeze" else [event.value])
            zeroed: Event | None = None
            for moment in order.moments:
                if moment.number < number:
                    continue
                if moment.tensors is None or (moment.kind == "backward" and moment.tensors & tensors):
                    break
                if moment.kind == "clear":
                    if moment.event.info.get("kept") and tensors <= moment.tensors:
                        zeroed = moment.event
                    else:
                        tensors -= moment.tensors
                elif moment.kind == "step" and moment.tensors & tensors:
                    if zeroed is not None and not _moves_without_gradient(order, number, moment.event):
                        break
                    moved = [tensor for tensor in moment.event.parameters if tensor in tensors]
                    filled = self._filled(order.between(-1, number), set(moved), event)
                    if filled is not None and is_on_the_way(event.path, moment.event.path):
                        if zeroed is None:
                            yield self._report(facts, event, moved, filled, moment.event)
                        else:
                            yield self._report_zeroed(facts, event, moved, zeroed, moment.event)
                    break

    def _filled(self, moments: Iterable[Moment], moved: set[Tensor], event: Event) -> Event | None:
        """The backward whose gradients are still there."""
        filled: Event | None = None
        for moment in moments:
            if moment.tensors is None:
                return None
            if moment.kind == "backward" and moved <= moment.tensors:
                filled = moment.event if is_on_the_way(moment.event.path, event.path) else filled
            elif moment.kind == "clear" and moved & moment.tensors and not moment.event.info.get("kept"):
                filled = None
        return filled

    def _report(self, facts: Facts, event: Event, moved: list[Tensor], filled: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} freezes {owners(moved)} with a gradient, and "
            f"{code(facts, step.at.node)} still applies it; set `grad = None`, or freeze before `backward()`"
        )
        story = [Step(place(filled.at), "the gradient was computed here"), Step(place(step.at), "it is applied here")]
        return self.finding(place(event.at), message, story, _taken_away(facts, event))

    def _report_zeroed(self, facts: Facts, event: Event, moved: list[Tensor], zeroed: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} freezes {owners(moved)}, and {code(facts, zeroed.at.node)} leaves a "
            f"gradient of zero: {code(facts, step.at.node)} goes on moving it by what it has gathered and by weight "
            "decay; set `grad = None`, or leave `set_to_none=False` away"
        )
        story = [
            Step(place(zeroed.at), "the gradient becomes zero here, and not None"),
            Step(place(step.at), "the optimizer still moves it here"),
        ]
        return self.finding(place(event.at), message, story, _taken_away(facts, event))


def _taken_away(facts: Facts, event: Event) -> list[Fix]:
    """The fix that takes the gradient away of what is frozen."""
    node = event.at.node
    written = node.value if isinstance(node, ast.Attribute) else receiver_of(node)
    if event.at.source is not facts.source or not isinstance(written, (ast.Name, ast.Attribute, ast.Subscript)):
        return []
    name = facts.segment(written)
    of_module = event.kind == "freeze" and isinstance(event.value, Instance)
    statement = facts.statement(node) or node
    return put(facts, statement, f"{name}.zero_grad()" if of_module else f"{name}.grad = None", behind=True)


def _moves_without_gradient(order: Order, number: int, step: Event) -> bool:
    """Does an optimizer move parameters of which the gradient is zero: with weight decay, or by the momentum or the
    averages of steps before the event of this number?"""
    made = order.made.get(step.value) if isinstance(step.value, Instance) else None
    if made is None or not isinstance(made.value, Instance):
        return False
    call, sort = made.call, made.value.path.rpartition(".")[2]
    if any(m.event.value is step.value and m.kind == "step" for m in order.between(-1, number)):
        if sort in ("Adam", "AdamW", "NAdam", "RAdam", "Adamax"):
            return True
        if sort == "SGD" and call.known(2, "momentum", default=0) not in (0, ...):
            return True
    return call.known(4, "weight_decay", default=0) not in (0, ...)
