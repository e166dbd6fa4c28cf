"""GRD612."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import Moment, is_on_the_way, order_of
from gradls.rules.words import code, owners, place


class FrozenWithGradient(Rule):
    """A parameter that is frozen after `backward()`, and still moves.

    ## What it finds
    `requires_grad = False` on a parameter that has a gradient, followed by `step()` of an optimizer that holds it, with
    nothing in between that clears the gradient.

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
    There is no automatic fix.

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
            for moment in order.moments:
                if moment.number < number:
                    continue
                if moment.tensors is None or (moment.kind == "backward" and moment.tensors & tensors):
                    break
                if moment.kind == "clear":
                    tensors -= moment.tensors
                elif moment.kind == "step" and moment.tensors & tensors:
                    moved = [tensor for tensor in moment.event.parameters if tensor in tensors]
                    filled = self._filled(order.between(-1, number), set(moved), event)
                    if filled is not None and is_on_the_way(event.path, moment.event.path):
                        yield self._report(facts, event, moved, filled, moment.event)
                    break

    def _filled(self, moments: Iterable[Moment], moved: set[Tensor], event: Event) -> Event | None:
        """The backward whose gradients are still there."""
        filled: Event | None = None
        for moment in moments:
            if moment.tensors is None:
                return None
            if moment.kind == "backward" and moved <= moment.tensors:
                filled = moment.event if is_on_the_way(moment.event.path, event.path) else filled
            elif moment.kind == "clear" and moved & moment.tensors:
                filled = None
        return filled

    def _report(self, facts: Facts, event: Event, moved: list[Tensor], filled: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} freezes {owners(moved)} with a gradient, and "
            f"{code(facts, step.at.node)} still applies it; set `grad = None`, or freeze before `backward()`"
        )
        story = [Step(place(filled.at), "the gradient was computed here"), Step(place(step.at), "it is applied here")]
        return self.finding(place(event.at), message, story)
