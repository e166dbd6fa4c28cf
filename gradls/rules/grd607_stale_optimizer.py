"""GRD607."""

from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.registration import leaves_of, optimized
from gradls.rules.rule import Rule
from gradls.rules.training_order import Moment, Order, is_on_the_way, order_of
from gradls.rules.words import code, owners, place


class StaleOptimizer(Rule):
    """An optimizer that holds other parameters than the ones that are trained.

    ## What it finds
    A layer that takes the place of another after the optimizer was made from the old one; and an optimizer that steps
    while `backward()` only reaches the parameters of another model, which no optimizer has.

    ## Why it matters
    An optimizer keeps the tensors that it was given. The new ones get gradients that nobody applies, and stay as they
    were initialized.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[1] = torch.nn.Linear(4, 2)
    before = model[1].weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(model[1].weight, before)
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = torch.nn.Linear(3, 1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(model.weight, before)
    ```

    ## Use instead
    Make the optimizer last, or add the new parameters to it.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    model[1] = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert not torch.equal(model[1].weight, before)
    ```

    ## When it is silent
    Where an optimizer has the new parameters too, and for layers whose old parameters no optimizer had. Parameters of a
    model that is only read, such as a pretrained one that computes a loss, may get gradients as well.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[1] = torch.nn.Linear(4, 2)
    optimizer.add_param_group({"params": model[1].parameters()})
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert len(optimizer.param_groups) == 2
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#constructing-it
    """

    code, name, severity = "GRD607", "stale-optimizer", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not any(facts.of("optimizer-made")):
            return
        known = optimized(facts)
        order = order_of(facts)
        yield from self._of_replaced(facts, order, known)
        yield from self._of_other_models(facts, order, known)

    def _of_replaced(self, facts: Facts, order: Order, known: set[Tensor]) -> Iterator[Finding]:
        made: dict[Tensor, Event] = {}
        for number, event in enumerate(facts.events):
            if event.kind in ("optimizer-made", "group-added"):
                made.update(dict.fromkeys(event.parameters, event))
            elif event.kind == "attribute-set" and isinstance(event.old, (Instance, Tensor)) and made:
                new = _new_leaves(event, known)
                optimizer = next((made[leaf] for leaf in leaves_of(event.old) if leaf in made), None)
                if new and optimizer is not None:
                    yield from self._report_replaced(facts, order, number, optimizer, new)

    def _report_replaced(
        self, facts: Facts, order: Order, number: int, made: Event, new: list[Tensor]
    ) -> Iterator[Finding]:
        event = facts.events[number]
        later = [moment for moment in order.moments if moment.number > number]
        backward = next((m for m in later if m.kind == "backward" and m.tensors and m.tensors & set(new)), None)
        step = next((m for m in later if m.kind == "step" and backward and m.number > backward.number), None)
        name = made.value.name if isinstance(made.value, Instance) and made.value.name else "the optimizer"
        story = [Step(place(made.at), "the optimizer is made here, with the old parameters")]
        if backward is not None and step is not None:
            story.append(Step(place(backward.event.at), "the new ones get gradients here, which nobody applies"))
            severity, then = Severity.WARNING, "the new ones are never trained"
        else:
            severity, then = Severity.INFORMATION, "if the new ones are to be trained, make the optimizer after this"
        message = f"{code(facts, event.at.node)} is replaced after `{name}` was made from its old parameters: {then}"
        yield self.finding(place(event.at), message, story, severity=severity)

    def _of_other_models(self, facts: Facts, order: Order, known: set[Tensor]) -> Iterator[Finding]:
        """Steps after a backward that reached only parameters which no optimizer has."""
        last: dict[object, int] = {}
        for moment in order.moments:
            optimizer = moment.event.value
            if moment.kind != "step" or moment.event.kind != "step" or not isinstance(optimizer, Instance):
                continue
            start, last[optimizer] = last.get(optimizer, -1), moment.number
            made = order.made.get(optimizer)
            if made is None or made.open or moment.event.escaped or moment.event.closure is not None:
                continue
            if not moment.tensors or not all(tensor.requires_grad is True for tensor in moment.tensors):
                continue
            backward = _only_others(order, start, moment, known)
            if backward is not None:
                yield self._report_other(facts, made, backward, moment.event)

    def _report_other(self, facts: Facts, made: Event, backward: Event, step: Event) -> Finding:
        others = [leaf for leaf in backward.reached if leaf.is_parameter and leaf.requires_grad is True]
        name = made.value.name if isinstance(made.value, Instance) and made.value.name else "the optimizer"
        given = next(iter(getattr(made.at.node, "args", ())), None)
        source = code(facts, given) if given is not None else owners(made.parameters)
        message = (
            f"`{name}` is made from {source}, and {code(facts, backward.at.node)} reaches only other parameters, "
            "which no optimizer has: nothing is trained"
        )
        first = min(others, key=lambda leaf: leaf.fields.born)
        story = [Step(place(backward.at), "the gradients are computed here"), Step(place(step.at), "and not used here")]
        if first.owner is not None and first.owner.at is not None:
            story.insert(0, Step(place(first.owner.at), "the other parameters are made here"))
        calls = step.calls
        if calls is not None:
            story.append(Step(place(calls[0]), "in this call"))
        return self.finding(place(made.at), message, story)


def _new_leaves(event: Event, known: set[Tensor]) -> list[Tensor]:
    """The parameters that come in the place of others, if no optimizer has any of them."""
    if not isinstance(event.assigned, (Instance, Tensor)) or event.assigned is event.old:
        return []
    leaves = [leaf for leaf in leaves_of(event.assigned) if leaf.is_parameter and leaf.requires_grad is True]
    old = {id(leaf) for leaf in leaves_of(event.old)}
    return [] if any(leaf in known or id(leaf) in old for leaf in leaves) else leaves


def _only_others(order: Order, start: int, step: Moment, known: set[Tensor]) -> Event | None:
    """The backward since the last step, if all of them reached only parameters that no optimizer has."""
    held = frozenset(step.event.parameters)
    backwards = [m for m in order.between(start, step.number) if m.kind == "backward"]
    if not backwards or any(m.tensors is None for m in backwards):
        return None
    for moment in backwards:
        assert moment.tensors is not None
        trained = [leaf for leaf in moment.tensors if leaf.is_parameter]
        if not trained or any(leaf in known or leaf.requires_grad is not True for leaf in trained):
            return None
        if not is_on_the_way(moment.event.path, step.event.path):
            return None
    # What an earlier backward left may still be there: only if nothing was cleared since, of course.
    left = [
        m
        for m in order.moments
        if m.number < start and m.kind in ("backward", "clear") and m.tensors and m.tensors & held
    ]
    if (
        left
        and left[-1].kind == "backward"
        and not any(
            m.kind == "clear" and (m.tensors is None or m.tensors & held) for m in order.between(start, step.number)
        )
    ):
        return None
    return backwards[-1].event
