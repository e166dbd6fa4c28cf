"""GRD613."""

import ast
from collections.abc import Iterable

from gradls.autograd.optimizers import find_scheduler
from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Sequence, Tensor, Value
from gradls.rules.finding import Finding, Fix, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import name_of, put
from gradls.rules.training_order import is_handed_out, loops_of, order_of, rounds_of
from gradls.rules.words import code, place


class UnusedScheduler(Rule):
    """A learning rate scheduler that never takes a step.

    ## What it finds
    A scheduler that is made for an optimizer which steps in a loop, and on which `step()` is called nowhere. And one
    that goes on stepping where another optimizer has taken the place of its own, for a second stage of the training. As
    information, two alike for the same optimizer that both step, beside an optimizer that has none.

    ## Why it matters
    The learning rate stays at its first value. With a warm-up that is a very small one.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for stage in range(2):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
            scheduler.step()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    assert optimizer.param_groups[0]["lr"] == 0.01
    ```

    ## Use instead
    `scheduler.step()`, once an epoch or once a batch.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] < 0.001
    ```

    ## When it is silent
    Where the scheduler is returned, stored, given to another one or to other code.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
    second = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    both = torch.optim.lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[2])
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        both.step()
    assert optimizer.param_groups[0]["lr"] != 0.1
    ```

    ## Fix safety
    Suggested: it writes `scheduler.step()` at the end of each round of the outermost loop, which may be one of epochs
    or of batches.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
    """

    code, name, severity = "GRD613", "unused-scheduler", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        made = [event for event in facts.of("scheduler-made") if isinstance(event.value, Instance)]
        if not made:
            return
        used = {event.value for event in facts.of("scheduler-step")}
        # What one round of a loop made, code that is called back steps in the last round only.
        stepped = {event.at.node for event in made if event.value in used}
        given = {part for event in made for part in _given(event)}
        for event in made:
            scheduler = event.value
            assert isinstance(scheduler, Instance)
            if (
                scheduler in used
                or event.at.node in stepped
                or id(scheduler) in given
                or scheduler.fields.get("*escaped")
            ):
                continue
            if is_handed_out(facts, scheduler):
                continue
            steps = (moment.event for moment in order_of(facts).steps.get(event.optimizer, ()))
            step = next((step for step in steps if loops_of(step.path) - loops_of(event.path)), None)
            if step is not None and not any(facts.of("unknown-step")):
                yield self._report(facts, event, scheduler, step)
        yield from self._of_old(facts, made)
        yield from self._of_twins(facts, made)

    def _of_twins(self, facts: Facts, made: list[Event]) -> Iterable[Finding]:
        """Two alike for the same optimizer, both stepped, beside another optimizer that steps and has none."""
        stepped = {event.value for event in facts.of("scheduler-step")}
        scheduled = {event.optimizer for event in made}
        if len(made) < 2 or not all(isinstance(one, Instance) and not one.fields.get("*escaped") for one in scheduled):
            return
        left = [
            event
            for event in facts.of("optimizer-made")
            if event.value not in scheduled and event.value in order_of(facts).steps
        ]
        alike: dict[object, Event] = {}
        for second in made if left else ():
            if second.value not in stepped:
                continue
            first = alike.setdefault((second.optimizer, _options(facts, second)), second)
            if first.at.node is not second.at.node:
                name = getattr(left[0].value, "name", "") or "another optimizer"
                message = (
                    f"{code(facts, second.at.node)} is the second schedule of this kind for the same optimizer, and "
                    f"both step: its rate changes twice each time, and that of `{name}` never"
                )
                story = [
                    Step(place(first.at), "the other schedule is made here"),
                    Step(place(left[0].at), "this optimizer has none"),
                ]
                yield self.finding(place(second.at), message, story, severity=Severity.INFORMATION)
                return

    def _of_old(self, facts: Facts, made: list[Event]) -> Iterable[Finding]:
        """Schedulers that step beside an optimizer that was made in the place of their own."""
        order = order_of(facts)
        changes: dict[object, list[tuple[int, Event]]] = {}
        for number, event in facts.numbered("scheduler-step"):
            changes.setdefault(event.value, []).append((number, event))
        numbers = {
            event.value: number
            for number, event in facts.numbered("optimizer-made")
            if isinstance(event.value, Instance)
        }
        holding: dict[Tensor, list[Instance]] = {}
        for one in numbers:
            for tensor in dict.fromkeys(order.parameters.get(one, ())):
                holding.setdefault(tensor, []).append(one)
        scheduled = {event.optimizer for event in made}
        told: set[ast.AST] = set()
        for event in made:
            old = event.optimizer
            if not isinstance(old, Instance) or old not in numbers or old.fields.get("*escaped"):
                continue
            last = max((moment.number for moment in order.steps.get(old, ())), default=-1)
            for new in dict.fromkeys(one for tensor in order.parameters.get(old, ()) for one in holding[tensor]):
                number = numbers[new]
                if number <= max(last, numbers[old]) or new in scheduled:
                    continue
                steps = [moment.event for moment in order.steps.get(new, ())]
                stale = _beside(changes.get(event.value, []), number, steps)
                if stale is not None and stale.at.node not in told:
                    told.add(stale.at.node)
                    yield self._report_old(facts, stale, order.made[old], order.made[new])

    def _report_old(self, facts: Facts, stale: Event, old: Event, new: Event) -> Finding:
        message = (
            f"{code(facts, stale.at.node)} changes the rate of the optimizer that this scheduler was made for, which "
            "steps no more: the one that has taken its place keeps its rate. Make a scheduler for that one"
        )
        story = [
            Step(place(old.at), "the scheduler is for the optimizer that is made here"),
            Step(place(new.at), "this one takes its place"),
        ]
        return self.finding(place(stale.at), message, story)

    def _report(self, facts: Facts, event: Event, scheduler: Instance, step: Event) -> Finding:
        what = f"`{scheduler.name}.step()`" if scheduler.name else "`step()` of this scheduler"
        message = f"{what} is never called: the learning rate stays what it is"
        story = [Step(place(step.at), "the optimizer steps here")]
        return self.finding(place(event.at), message, story, _stepped(facts, event, scheduler, step))


_PER_BATCH = ("OneCycleLR", "CyclicLR")
"""Schedules that count batches, not epochs."""


def _stepped(facts: Facts, made: Event, scheduler: Instance, step: Event) -> list[Fix]:
    """The fix that steps the schedule at the end of each round of the outermost loop around the optimizer's steps, or
    behind these if it counts batches."""
    spec = find_scheduler(scheduler.path)
    if spec is None or spec.needs_metric:
        return []
    if scheduler.path.endswith(_PER_BATCH):
        name = name_of(facts, scheduler, place(step.at))
        return put(facts, step.at.node, f"{name}.step()", behind=True) if name else []
    earlier = loops_of(made.path)
    loops = [one.loop for one in rounds_of(step.path) if id(one.loop) not in earlier]
    loop = getattr(loops[0], "statement", None) if loops else None
    if not isinstance(loop, (ast.For, ast.While)) or not facts.source.holds(loop):
        return []
    name, last = name_of(facts, scheduler, Place(facts.source, loop)), loop.body[-1]
    if not name or isinstance(last, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return []
    title = f"Write `{name}.step()` at the end of each round"
    return put(facts, last, f"{name}.step()", behind=True, title=title)


def _beside(changes: list[tuple[int, Event]], number: int, steps: list[Event]) -> Event | None:
    """The first of some steps of a scheduler after the event with this number that is in a loop with one of `steps`."""
    for later, event in changes:
        if later > number and any(loops_of(event.path) & loops_of(step.path) for step in steps):
            return event
    return None


def _options(facts: Facts, made: Event) -> tuple[str, ...]:
    """The class of a scheduler, and its options as they are written; the place, if they are not plain."""
    node = made.at.node
    if not isinstance(node, ast.Call) or not isinstance(made.value, Instance):
        return (str(id(made)),)
    given = [part for part in (*node.args[1:], *node.keywords) if getattr(part, "arg", "") != "optimizer"]
    return (made.value.path, *(facts.segment(part) for part in given))


def _given(event: Event) -> list[int]:
    """The identities of what a scheduler is given: other schedulers, in a list."""
    found: list[int] = []
    todo: list[Value] = list(event.call.values)
    while todo and len(found) < 100:
        value = todo.pop()
        found.append(id(value))
        if isinstance(value, Sequence):
            todo += value.elements
    return found
