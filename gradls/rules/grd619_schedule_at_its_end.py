"""GRD619."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import Round, loops_of, times, times_at_least
from gradls.flow.values import Host, Instance
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.option_values import given_number
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import all_of, deleted, put
from gradls.rules.training_order import rounds_of
from gradls.rules.words import code, place


class ScheduleAtItsEnd(Rule):
    """A schedule of a fixed length that is stepped more often than that.

    ## What it finds
    `OneCycleLR` with a known number of steps, and a loop of known length in which it is stepped more often. As
    information, one that has as many steps as the outer of two loops has rounds, and is stepped in the inner one; and
    `CosineAnnealingLR`, `StepLR` and the like whose length is written with the number of epochs, as `T_max=epochs` is,
    and which are stepped for each batch, or whose length is divided by the number of batches for which gradients add
    up, and which are stepped for each of these. And a `gamma` of 0, after the first decay by which nothing is left of
    the learning rate; and a `LambdaLR` that begins with 0 and is stepped only behind the loop in which its optimizer
    steps.

    ## Why it matters
    The schedule has a last step. It is often made with the number of epochs and stepped for each batch, or made
    without the steps before the training is resumed.

    ## What PyTorch does
    It raises

        ValueError: Tried to step 3 times. The specified number of total steps is 2

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    for epoch in range(5):
        for batch in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
            scheduler.step()  # raises ValueError: Tried to step
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.0)
    for epoch in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0
    ```

    ## Use instead
    As many steps as there are calls of `step()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=5, steps_per_epoch=4)
    for epoch in range(5):
        for batch in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
            scheduler.step()
    assert scheduler.last_epoch == 20
    ```

    ## When it is silent
    Where the number of steps or of rounds is not known, and where a branch decides whether it is stepped.

    ```python
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    for step in range(10):
        optimizer.step()
        if scheduler.last_epoch < 5:
            scheduler.step()
    assert scheduler.last_epoch == 5
    ```

    ## Fix safety
    Suggested: a schedule that is as long as there are steps of its optimizer is stepped behind these. There is none for
    the others.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
    """

    code, name, severity = "GRD619", "schedule-at-its-end", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for made in facts.of("scheduler-made"):
            yield from self._of_zero(facts, made)
            yield from self._of_start(facts, made)
            yield from self._of_epochs(facts, made)
            yield from self._of_updates(facts, made)
            total = _total(made)
            if total is None or made.value.fields.get("*escaped"):  # type: ignore[union-attr]
                continue
            yield from self._of_inner_loop(facts, made, total)
            found = _steps(facts, made)
            count = sum(number for _, number in found)
            if count > total and not any(event.caught for event, _ in found):
                event = max(found, key=lambda pair: pair[1])[0]
                message = (
                    f"{code(facts, event.at.node)} raises: the schedule has {total} steps, and is stepped {count} times"
                )
                yield self.finding(place(event.at), message, [Step(place(made.at), "the schedule is made here")])

    def _of_zero(self, facts: Facts, made: Event) -> Iterator[Finding]:
        """A decay to nothing, where the schedule is stepped."""
        name = made.value.path.rpartition(".")[2] if isinstance(made.value, Instance) else ""
        position = _GAMMA.get(name)
        if position is None or made.call.unsure:
            return
        gamma = given_number(made.call.get(position, "gamma"), made.path)
        step = next((event for event in facts.of("scheduler-step") if event.value is made.value), None)
        if gamma.number != 0 or step is None:
            return
        if gamma.is_default:
            message = f"if the option is not given, the `gamma` of {code(facts, made.at.node)} is 0: {_NOTHING}"
        else:
            message = f"the `gamma` of {code(facts, made.at.node)} is 0: {_NOTHING}"
        # One that comes later may be meant to end the training of its parameters.
        at_once = name == "ExponentialLR" or (name == "StepLR" and made.call.known(1, "step_size") == 1)
        severity = Severity.WARNING if at_once and not gamma.is_default else Severity.INFORMATION
        yield self.finding(place(made.at), message, [Step(place(step.at), "it decays here")], severity=severity)

    def _of_start(self, facts: Facts, made: Event) -> Iterator[Finding]:
        """A schedule that begins with 0, and is stepped only behind the loop in which its optimizer steps."""
        begins, optimizer = made.info.get("begins"), made.optimizer
        if not isinstance(begins, Host) or begins.value != 0 or begins.kind == "bool":
            return
        first = next((event for event in facts.of("scheduler-step") if event.value is made.value), None)
        if first is None or first.call.values or first.caught:
            return
        rounds = rounds_of(first.path)
        for step in facts.of("step"):
            if step.clock >= first.clock or step.value is not optimizer or step.clock < made.clock:
                continue
            inner = rounds_of(step.path)
            if len(inner) > len(rounds) and inner[: len(rounds)] == rounds:
                message = (
                    f"the schedule begins with a rate of 0, and {code(facts, first.at.node)} comes only behind the "
                    f"inner loop: until then {code(facts, step.at.node)} changes nothing. Step the schedule in that "
                    "loop, or let it begin with more than 0"
                )
                story = [Step(place(made.at), "the schedule is made here"), Step(place(step.at), "the rate is 0 here")]
                yield self.finding(place(first.at), message, story, severity=Severity.INFORMATION)
                return

    def _of_inner_loop(self, facts: Facts, made: Event, total: int) -> Iterator[Finding]:
        """Stepped in each round of a loop of unknown length, within one that has as many rounds as there are steps."""
        for event in facts.of("scheduler-step"):
            if event.value is not made.value or event.call.values or event.caught:
                continue
            known = times_at_least(event.path, made.path)
            if known is not None and known[1] and known[0] >= max(total, 2):
                message = (
                    f"the schedule has {_number(total)}, as many as the outer loop has rounds, and "
                    f"{code(facts, event.at.node)} is called in each round of the inner one: it raises as soon as that "
                    "has a second round in each"
                )
                story = [Step(place(made.at), "the schedule is made here")]
                yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)
                return

    def _of_epochs(self, facts: Facts, made: Event) -> Iterator[Finding]:
        """Planned with the number of rounds of the outer of two loops, and stepped in each round of the inner one."""
        length = _length(made)
        if length is None:
            return
        for event in facts.of("scheduler-step"):
            if event.value is not made.value or event.call.values or event.path is None:
                continue
            around = [getattr(one.loop, "statement", None) for one in rounds_of(event.path)]
            outer = next((loop for loop in around[:-1] if _is_written_with(length, _count(loop))), None)
            if outer is None or not isinstance(event.path[1], Round) or _count(around[-1]) is not None:
                continue
            what = facts.source_of(made.at.node).segment(length)
            message = (
                f"{code(facts, event.at.node)} is called for each round of the inner loop, and the schedule is as long "
                f"as the outer one, `{what}`: it is through in the first round of that. Step it there, or plan batches"
            )
            story = [Step(place(made.at), "the schedule is made here")]
            yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)
            return

    def _of_updates(self, facts: Facts, made: Event) -> Iterator[Finding]:
        """Planned for the steps of an optimizer that steps every so often, and stepped in each round."""
        length = _length(made)
        divisors = _divisors(facts, made, length) if length is not None else []
        for event in facts.of("scheduler-step") if divisors else ():
            if event.value is not made.value or event.call.values or event.at.source is not facts.source:
                continue
            for step in facts.of("step"):
                if step.value is not made.optimizer or step.at.source is not facts.source:
                    continue
                condition = _every_so_often(facts, step.at.node, divisors)
                loop = next(facts.loops(event.at.node), None)
                if condition is None or loop is None or loop is not next(facts.loops(step.at.node), None):
                    continue
                if any(
                    isinstance(above, ast.If) for above in facts.parents(event.at.node) if loop in facts.parents(above)
                ):
                    continue
                message = (
                    f"{code(facts, event.at.node)} is called in each round, and {code(facts, step.at.node)} only in "
                    f"those that {code(facts, condition.test)} leaves: the schedule is as long as there are steps of "
                    "the optimizer, and through too early. Step it behind the optimizer"
                )
                story = [
                    Step(place(made.at), "the schedule is made here"),
                    Step(place(step.at), "the optimizer steps here"),
                ]
                written = put(facts, step.at.node, facts.segment(event.at.node), behind=True)
                fixes = all_of("Step the schedule behind the optimizer", written, deleted(facts, event))
                yield self.finding(place(event.at), message, story, fixes, Severity.INFORMATION)
                return


_GAMMA = {"StepLR": 2, "MultiStepLR": 2, "ExponentialLR": 1}
"""Where schedules take the factor of a decay."""
_NOTHING = "with its first decay the learning rate is 0, and no step changes anything any more. To keep it, give 1"

_LENGTHS = {
    "CosineAnnealingLR": (1, "T_max"),
    "StepLR": (1, "step_size"),
    "PolynomialLR": (1, "total_iters"),
    "LinearLR": (3, "total_iters"),
    "ConstantLR": (2, "total_iters"),
}
"""Where the length of a schedule is given."""


def _length(made: Event) -> ast.expr | None:
    """The expression that says how long a schedule is."""
    node = made.at.node
    if not isinstance(made.value, Instance) or not isinstance(node, ast.Call) or made.value.fields.get("*escaped"):
        return None
    index, name = _LENGTHS.get(made.value.path.rpartition(".")[2], (-1, ""))
    named = next((keyword.value for keyword in node.keywords if keyword.arg == name), None)
    return named if named is not None or not 0 <= index < len(node.args) else node.args[index]


def _divisors(facts: Facts, made: Event, length: ast.expr) -> list[str]:
    """What a length is divided by, where that is written, or in the function where its name gets its value."""
    if made.at.source is not facts.source:
        return []
    parts: list[ast.AST] = [length]
    function = facts.function(made.at.node)
    if isinstance(length, ast.Name) and function is not None:
        given = [
            part.value
            for part in ast.walk(function)
            if isinstance(part, ast.Assign) and any(_is_named(target, length.id) for target in part.targets)
        ]
        parts = list(given) if len(given) == 1 else []
    found = [
        part.right for whole in parts for part in ast.walk(whole) if isinstance(part, ast.BinOp) and _divides(part)
    ]
    return [ast.dump(one) for one in found if isinstance(one, (ast.Name, ast.Attribute))]


def _divides(node: ast.BinOp) -> bool:
    return isinstance(node.op, (ast.Div, ast.FloorDiv))


def _is_named(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _every_so_often(facts: Facts, node: ast.AST, divisors: list[str]) -> ast.If | None:
    """The condition around a statement that is about the remainder by one of these."""
    for above in facts.parents(node):
        if isinstance(above, (ast.For, ast.While, ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        rests = ast.walk(above.test) if isinstance(above, ast.If) else ()
        remainders = [part for part in rests if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod)]
        if isinstance(above, ast.If) and any(ast.dump(part.right) in divisors for part in remainders):
            return above
    return None


def _count(loop: object) -> ast.expr | None:
    """How many rounds a loop has, if that is written: `epochs` of `for epoch in tqdm(range(epochs))`."""
    given = loop.iter if isinstance(loop, (ast.For, ast.AsyncFor)) else None
    for _ in range(3):
        if not isinstance(given, ast.Call) or not given.args:
            return None
        name = getattr(given.func, "attr", getattr(given.func, "id", ""))
        if name in ("range", "trange"):
            return given.args[min(1, len(given.args) - 1)]
        given = given.args[0] if name in ("tqdm", "track") else None
    return None


def _is_written_with(length: ast.expr, count: ast.expr | None) -> bool:
    """Is a length the number of rounds, or a part of it, and not multiplied by another?"""
    if count is None or isinstance(count, ast.Constant):
        return False
    if any(isinstance(part, (ast.Mult, ast.Call)) for part in ast.walk(length)):
        return False
    written = ast.dump(count)
    return any(ast.dump(part) == written for part in ast.walk(length) if isinstance(part, ast.expr))


def _number(total: int) -> str:
    return f"{total} steps" if total != 1 else "one step"


def _total(made: Event) -> int | None:
    """How many steps a schedule has."""
    if not isinstance(made.value, Instance) or not made.value.path.endswith(".OneCycleLR") or made.call.unsure:
        return None
    total, epochs, each, last = (
        made.call.known(index, name)
        for index, name in ((2, "total_steps"), (3, "epochs"), (4, "steps_per_epoch"), (-1, "last_epoch"))
    )
    if last is not None:
        return None
    if isinstance(total, int):
        return total
    return epochs * each if total is None and isinstance(epochs, int) and isinstance(each, int) else None


def _steps(facts: Facts, made: Event) -> list[tuple[Event, int]]:
    """The calls that certainly step a schedule, each with how often."""
    found: dict[object, tuple[Event, int]] = {}
    for event in facts.of("scheduler-step"):
        if event.value is made.value and not event.call.values:
            number = times(event.path, made.path)
            if number is not None:
                found.setdefault((event.at.node, loops_of(event.path), _sites(event)), (event, number))
    return list(found.values())


def _sites(event: Event) -> tuple[object, ...]:
    """The calls that led to an event."""
    return tuple(at.node for at, _ in event.callers())
