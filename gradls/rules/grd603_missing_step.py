"""GRD603."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import (
    CLEARS,
    Order,
    if_it_is_one,
    is_handed_out,
    is_vague_optimizer,
    loops_of,
    order_of,
    receiver_of,
)
from gradls.rules.words import owners, place
from gradls.syntax.walk import walk


class MissingStep(Rule):
    """An optimizer that never takes a step.

    ## What it finds
    An optimizer whose parameters get gradients from a `backward()`, and on which `step()` is called nowhere: neither
    directly nor by a gradient scaler or other code that has it.

    ## Why it matters
    Gradients alone change nothing: the parameters stay as they were.

    ## What PyTorch does
    Nothing. If a scheduler is stepped instead, it warns

        UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
    assert torch.equal(model.weight, before)
    ```

    ## Use instead
    `step()` after `backward()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert not torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the gradients are read, as for an update by hand, and where the optimizer is returned, stored or given to
    other code.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    norm = sum(parameter.grad.pow(2).sum() for parameter in model.parameters()) ** 0.5
    assert norm > 0
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step
    """

    code, name, severity = "GRD603", "missing-step", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = order_of(facts)
        yield from self._of_unknown(facts, order)
        if any(moment.kind == "step" and moment.tensors is None for moment in order.moments):
            return
        if any(facts.of("unknown-grad-read")):
            return  # What is read may be the gradient of any parameter.
        stepped = {moment.event.value for moment in order.moments if moment.kind == "step"}
        for optimizer, made in order.made.items():
            if optimizer in stepped or is_handed_out(facts, optimizer) or optimizer.fields.get("escaped"):
                continue
            backward = _backward(order, optimizer, facts.events.index(made))
            if backward is not None:
                yield self._report(facts, made, optimizer, backward)

    def _report(self, facts: Facts, made: Event, optimizer: Instance, backward: Event) -> Finding:
        name = optimizer.name or "the optimizer"
        who = owners(tensor for tensor in made.parameters if tensor in backward.reached)
        message = f"`{name}.step()` is never called: gradients are computed for {who}, and never applied"
        story = [Step(place(made.at), "the optimizer is made here")]
        scheduler = next((event for event in facts.of("scheduler-step") if _scheduled(event.value) is optimizer), None)
        if scheduler is not None:
            story.append(Step(place(scheduler.at), "this steps the learning rate, not the parameters"))
        return self.finding(place(backward.at), message, story)

    def _of_unknown(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """A loop that is given the optimizer or the model, clears its gradients and fills them again, in each round."""
        seen: set[ast.AST] = set()
        for moment in order.moments:
            clear = moment.event
            if clear.kind not in CLEARS or clear.at.node in seen or not is_vague_optimizer(clear):
                continue
            seen.add(clear.at.node)
            loops = loops_of(clear.path)
            inside = [m for m in order.moments if loops_of(m.event.path) & loops]
            backward = next((m.event for m in inside if m.kind == "backward"), None)
            if backward is None or any(m.kind in ("step", "read") for m in inside) or _has_others(facts, clear):
                continue
            name = facts.source.segment(receiver_of(clear.at.node) or clear.at.node)
            message = (
                f"{if_it_is_one(clear, name)}nothing applies the gradients of this `backward()` before "
                f"`{name}.zero_grad()` clears them in the next round; call `{name}.step()` after it"
            )
            story = [Step(place(clear.at), "they are cleared here")]
            yield self.finding(place(backward.at), message, story, severity=Severity.INFORMATION)


def _has_others(facts: Facts, clear: Event) -> bool:
    """May the optimizer be stepped by unknown code, or by something in the loop that sounds as if it did?"""
    if any(clear.value in event.arguments for event in facts.of("unknown-call")):
        return True
    loop: ast.AST | None = clear.at.node
    while loop is not None and not isinstance(loop, (ast.For, ast.While)):
        loop = facts.parent(loop)
    names = (getattr(part, "attr", getattr(part, "id", "")) for part in walk(loop)) if loop is not None else ()
    return any("step" in name or "grad" in name.replace("zero_grad", "").replace("no_grad", "") for name in names)


def _scheduled(scheduler: object) -> object:
    return scheduler.fields.get("optimizer") if isinstance(scheduler, Instance) else None


def _backward(order: Order, optimizer: Instance, made: int) -> Event | None:
    """The first backward after the event number `made` that fills gradients of an optimizer, if nobody reads them or
    writes to them by hand."""
    held = frozenset(order.parameters.get(optimizer, ()))
    found = None
    for moment in order.moments:
        if moment.kind == "backward" and moment.tensors is None:
            return None
        if moment.tensors is None or not moment.tensors & held or moment.number < made:
            continue
        if moment.kind == "backward":
            found = found or moment.event
        elif moment.event.kind != "zero-grad":
            return None
    return found
