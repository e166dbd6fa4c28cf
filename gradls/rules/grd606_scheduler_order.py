"""GRD606."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.optimizers import find_optimizer, find_scheduler
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import find_in_class
from gradls.flow.values import Choice, Class, Instance, Unknown, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import moved, put
from gradls.rules.training_order import (
    is_on_the_way,
    is_vague_optimizer,
    loops_of,
    optimizer_in,
    order_of,
    outermost,
    receiver_of,
)
from gradls.rules.words import code, place


class SchedulerOrder(Rule):
    """A learning rate scheduler that steps before its optimizer.

    ## What it finds
    `scheduler.step()` in a training loop before the first `optimizer.step()`; a scheduler or optimizer whose `step()`
    lacks the argument that it needs; a scheduler over something that is no optimizer; and an optimizer that is stepped
    only where there is no scheduler.

    ## Why it matters
    The first value of the schedule is skipped, and everything after it comes one step early.

    ## What PyTorch does
    It warns

        UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`.

    and of the others it raises one of

        TypeError: ReduceLROnPlateau.step() missing 1 required positional argument: 'metrics'
        TypeError: LBFGS.step() missing 1 required positional argument: 'closure'
        TypeError: Linear is not an Optimizer

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    rates = []
    for _ in range(2):
        scheduler.step()  # warns UserWarning: Detected call of
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == 0.1
    ```

    ```python
    import torch

    optimizer = torch.optim.SGD(torch.nn.Linear(3, 1).parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scheduler.step()  # raises TypeError: missing 1 required positional argument: 'metrics'
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    before = model.weight.clone()
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        if scheduler:
            scheduler.step()  # warns UserWarning: Detected call of
        else:
            optimizer.step()
    assert torch.equal(before, model.weight)
    ```

    ## Use instead
    The optimizer first.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    rates = []
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert rates[0] == 1.0
    ```

    ## When it is silent
    Where the optimizer may have stepped before. A scheduler that is only moved on before the training begins, as when
    it is resumed, gives information; so does one of which only the name tells what it is.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for _ in range(2):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(loss.item())
    assert loss >= 0
    ```

    ## Fix safety
    Suggested: `scheduler.step()` moves behind `optimizer.step()`, or behind the loop that this stands in; where a
    branch has no step, that of the other is written there.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
    """

    code, name, severity = "GRD606", "scheduler-order", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("scheduler-made"):
            yield from self._of_made(facts, event)
        for event in facts.of("scheduler-step"):
            yield from self._of_metric(facts, event)
        for event in facts.of("step"):
            yield from self._of_closure(facts, event)
        yield from self._of_order(facts)
        yield from self._of_unknown(facts)
        yield from self._of_branches(facts)

    def _of_order(self, facts: Facts) -> Iterator[Finding]:
        optimizers = {event.value: event.optimizer for event in facts.of("scheduler-made")}
        steps = list(facts.of("step", "scheduler-step", "scaler-step", "unknown-step"))
        stepped: set[object] = set()
        for number, event in enumerate(steps):
            optimizer = optimizers.get(event.value)
            if event.kind != "scheduler-step":
                if event.kind != "step" or event.value is None:
                    return  # It may have stepped any of them.
                stepped.add(event.value)
                continue
            if not isinstance(optimizer, Instance) or event.call.values:
                continue
            if isinstance(optimizer.cls, Class) and find_in_class(optimizer.cls, "step")[0] is not None:
                continue  # it steps in its own way
            if optimizer in stepped:
                continue
            later = next((moment.event for moment in order_of(facts).steps.get(optimizer, ())), None)
            if optimizer.fields.get("*escaped") and (later is None or _is_lent_before(facts, event, optimizer)):
                continue
            if later is not None and loops_of(event.path) and not loops_of(event.path) & loops_of(later.path):
                continue  # It catches up with the rounds before a training that is resumed.
            yield from self._report(facts, event, later, steps[number + 1 :])
            del optimizers[event.value]

    def _of_unknown(self, facts: Facts) -> Iterator[Finding]:
        """A schedule that a function is given, or whose optimizer it is given: what they are, only their names tell."""
        optimizers = {event.value: event.optimizer for event in facts.of("scheduler-made")}
        steps = list(facts.of("step", "scheduler-step", "scaler-step", "unknown-step"))
        told: set[ast.AST] = set()
        for number, event in enumerate(steps):
            if event.at.node in told or not _is_vague_schedule(event, optimizers):
                continue
            told.add(event.at.node)
            if _waits_for_a_round(facts, event):
                continue
            mine = [other for other in steps[:number] if outermost(other) is outermost(event)]
            if any(_steps_optimizer(other) for other in mine):
                continue
            later = next((other for other in steps[number:] if _steps_optimizer(other)), None)
            if later is None or outermost(later) is not outermost(event) or later.at.source is not facts.source:
                continue
            if not loops_of(later.path) or not loops_of(event.path) <= loops_of(later.path):
                continue
            if _is_made_without(facts, event.value, later.value):
                continue
            schedule, optimizer = receiver_of(event.at.node), optimizer_in(later)
            if schedule is None or optimizer is None or event.at.source is not facts.source:
                continue
            name, stepped = facts.segment(schedule), facts.segment(optimizer)
            message = (
                f"if `{name}` is a schedule of PyTorch for `{stepped}`, and nothing has stepped that before, its step "
                f"comes before the first of the optimizer, and the first rate is skipped: call it after "
                f"{code(facts, later.at.node)}"
            )
            story = [Step(place(later.at), "the optimizer steps for the first time here")]
            fixes = moved(facts, event, later, behind=True) if loops_of(event.path) else []
            yield self.finding(place(event.at), message, story, fixes, Severity.INFORMATION)

    def _of_branches(self, facts: Facts) -> Iterator[Finding]:
        """`if scheduler: scheduler.step()`, and `else: optimizer.step()`."""
        optimizers = {event.value: event.optimizer for event in facts.of("scheduler-made")}
        told: set[ast.AST] = set()
        for event in facts.of("scheduler-step"):
            node, optimizer = event.at.node, optimizers.get(event.value)
            branch, receiver = _branch_of(event), receiver_of(node)
            if branch is None or receiver is None or not isinstance(optimizer, Instance) or node in told:
                continue
            name = event.at.source.segment(receiver)
            if event.at.source.segment(branch.test) not in (name, f"{name} is not None"):
                continue
            other = {part for statement in branch.orelse for part in ast.walk(statement)}
            steps = [step for step in facts.of("step", "scaler-step") if step.value is optimizer]
            if steps and all(step.at.node in other for step in steps):
                told.add(node)
                message = (
                    f"{code(facts, node)} only sets the learning rate: where there is a schedule, "
                    f"{code(facts, steps[0].at.node)} is never called, and nothing is trained. Call both"
                )
                story = [Step(place(steps[0].at), "this is on the other branch")]
                fixes = put(facts, node, facts.segment(steps[0].at.node), behind=False)
                yield self.finding(place(event.at), message, story, fixes)

    def _report(self, facts: Facts, event: Event, later: Event | None, rest: list[Event]) -> Iterator[Finding]:
        if later is not None and not is_on_the_way(event.path, later.path):
            return
        again = (
            any(other.at.node is event.at.node for other in rest[rest.index(later) :]) if later is not None else False
        )
        message = (
            f"{code(facts, event.at.node)} comes before the first step of its optimizer: the first rate is skipped"
        )
        story = [] if later is None else [Step(place(later.at), "the optimizer steps for the first time here")]
        severity = Severity.WARNING if again else Severity.INFORMATION
        fixes = moved(facts, event, later, behind=True) if again and later is not None else []
        yield self.finding(place(event.at), message, story, fixes, severity)

    def _of_metric(self, facts: Facts, event: Event) -> Iterator[Finding]:
        spec = find_scheduler(event.value.path) if isinstance(event.value, Instance) else None
        if spec is None or not isinstance(event.at.node, ast.Call) or event.call.unsure or event.caught:
            return
        if spec.needs_metric and not event.call.values:
            message = f"`{event.value.path.rpartition('.')[2]}` needs the metric that it watches: `step(metric)`"  # type: ignore[union-attr]
            yield self.finding(place(event.at), message, severity=Severity.ERROR)

    def _of_closure(self, facts: Facts, event: Event) -> Iterator[Finding]:
        spec = find_optimizer(event.value.path) if isinstance(event.value, Instance) else None
        if spec is None or not spec.needs_closure or event.closure is not None:
            return
        node = event.at.node
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step"
        if called and not node.args and not node.keywords:  # type: ignore[attr-defined]
            name = spec.name.rpartition(".")[2]
            message = f"`{name}.step()` needs a closure that computes the loss anew, calls `backward()` and returns it"
            yield self.finding(place(event.at), message, severity=Severity.ERROR)

    def _of_made(self, facts: Facts, event: Event) -> Iterator[Finding]:
        given = event.optimizer
        if isinstance(given, Instance) and given.path.startswith("torch.nn."):
            message = "a scheduler needs the optimizer, and this is a module: it raises"
            yield self.finding(place(event.at), message, severity=Severity.ERROR)


def _waits_for_a_round(facts: Facts, event: Event) -> bool:
    """Does it happen only if the counter of a loop around it says so, as in `if epoch > warmup`? Rounds came before."""
    asked: set[str] = set()
    for above in facts.parents(event.at.node):
        if isinstance(above, ast.If):
            asked.update(part.id for part in ast.walk(above.test) if isinstance(part, ast.Name))
        elif isinstance(above, (ast.For, ast.AsyncFor)):
            if any(isinstance(part, ast.Name) and part.id in asked for part in ast.walk(above.target)):
                return True
        elif isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
    return False


def _is_lent_before(facts: Facts, step: Event, optimizer: Instance) -> bool:
    """Is the optimizer given to code that is not followed, in the same round of a loop before a schedule's step? That
    may step it."""
    loops = loops_of(step.path)
    return any(
        call.clock < step.clock and optimizer in call.arguments and (not loops or loops_of(call.path) & loops)
        for call in facts.of("unknown-call")
    )


def _is_vague_schedule(event: Event, optimizers: dict[Value | None, Value]) -> bool:
    """Is a schedule stepped of which not all is known: what it is, or what it is for? One of PyTorch needs no
    arguments and gives nothing; one that is given the epoch, or is asked for a value, is perhaps another."""
    if not isinstance(event.at.source.parent(event.at.node), ast.Expr):
        return False
    if event.kind == "scheduler-step":
        known = optimizers.get(event.value)
        return isinstance(known, (Choice, Unknown)) and not event.call.values
    if event.kind != "unknown-step" or event.arguments:
        return False
    return "sched" in _name_of(receiver_of(event.at.node)) and not isinstance(event.value, Instance)


def _is_made_without(facts: Facts, schedule: Value | None, optimizer: Value | None) -> bool:
    """Was it made here of other things than the optimizer, as a schedule of the momentum of layers is?"""
    calls: dict[int, Event] | None = facts.memo.get("unknown calls by result")
    if calls is None:
        calls = facts.memo["unknown calls by result"] = {
            id(event.info.get("result")): event for event in facts.of("unknown-call")
        }
    made = calls.get(id(schedule)) if schedule is not None else None
    return made is not None and bool(made.arguments) and optimizer not in made.arguments


def _steps_optimizer(event: Event) -> bool:
    if event.kind == "unknown-step":
        return is_vague_optimizer(event) and "sched" not in _name_of(receiver_of(event.at.node))
    return event.kind in ("step", "scaler-step")


def _name_of(node: ast.expr | None) -> str:
    name: str = getattr(node, "id", getattr(node, "attr", ""))
    return name.lower()


def _branch_of(event: Event) -> ast.If | None:
    """The condition in whose first branch an event is."""
    inner: ast.AST = event.at.node
    outer = event.at.source.parent(inner)
    while outer is not None and not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        if isinstance(outer, ast.If):
            return outer if inner in outer.body else None
        inner, outer = outer, event.at.source.parent(outer)
    return None
