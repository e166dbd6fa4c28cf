"""GRD621."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.arguments import Call
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.models.modules import parameters_of
from gradls.flow.paths import Round
from gradls.flow.values import Bound, Function, Host, Instance, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import all_of, put, with_comment
from gradls.rules.training_order import innermost, rounds_of
from gradls.rules.words import code, place


class OptimizerMadeAnew(Rule):
    """An optimizer that is made anew in each round of the training loop.

    ## What it finds
    An optimizer with a momentum, or with averages of the gradients as Adam has them, that a loop makes in each of its
    rounds for the same parameters, in the loop itself or in a function that it calls. Each of them takes its steps, and
    the next one knows nothing of them.

    ## Why it matters
    What the optimizer has found out is lost with it. SGD loses its momentum, and Adam begins again with averages of
    zero: the first steps of each epoch are as large and as rough as those at the start of the training. An Adam that
    takes one step only moves every weight by the learning rate, whatever the gradient is.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    for epoch in range(2):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
    assert optimizer.state[model.weight]["step"] == 4
    ```

    ## Use instead
    One optimizer for the whole training. Another learning rate is set in its `param_groups`, or by a scheduler.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for epoch in range(2):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (epoch + 1)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
    assert optimizer.state[model.weight]["step"] == 8
    ```

    ## When it is silent
    Where the round trains something else: a new model, or one that gets other weights or has other parameters frozen
    before it begins, or that goes through other data: `for x, y in loaders[task]`. Where the state goes on to the next
    optimizer, or there is none, as in SGD without momentum. Where the loop makes another optimizer only now and then.
    And where a round is a training with epochs of its own.

    ```python
    import copy
    import torch

    model = torch.nn.Linear(3, 1)
    start = copy.deepcopy(model.state_dict())
    for seed in range(3):
        model.load_state_dict(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
    assert optimizer.state[model.weight]["step"] == 4
    ```

    ## Fix safety
    Suggested: the optimizer is made before the loop that it is made in. Of one that a function makes in each call, it
    is for the author to say where the training begins.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#constructing-it
    """

    code, name, severity = "GRD621", "optimizer-made-anew", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        latest: dict[ast.AST, tuple[int, Event]] = {}
        told: set[ast.AST] = set()
        for number, event in facts.numbered("optimizer-made"):
            node = event.at.node
            before = latest.get(node)
            latest[node] = number, event
            if before is None or node in told or not _is_for_the_same(facts, before[1], event):
                continue
            step = _step_of(facts, before, number)
            if step is None or _is_another_training(facts, before, (number, event)):
                continue
            if len(_last_rounds(step)) > len(_last_rounds(event)) and _has_data_of_its_own(facts, event):
                continue
            told.add(node)
            yield self._report(facts, event, step)

    def _report(self, facts: Facts, event: Event, step: Event) -> Finding:
        made = event.value.path.rpartition(".")[2] if isinstance(event.value, Instance) else "optimizer"
        kept = "its momentum" if made == "SGD" else "its averages of the gradients"
        message = (
            f"{code(facts, event.at.node)} is made anew in each round for the same parameters, and what "
            f"{code(facts, step.at.node)} has gathered before, {kept}, is lost. Unless each round is to be a training "
            "of its own, make one optimizer before the loop"
        )
        story = [Step(place(step.at), "what this step leaves in the optimizer is thrown away")]
        story += [Step(place(at), "the loop comes here in each round") for at, _ in _calls_in_loop(event)]
        return self.finding(place(event.at), message, story, _made_before(facts, event))


def _made_before(facts: Facts, event: Event) -> list[Fix]:
    """The fix that makes the optimizer before the loop, if it stands right in the body of that and needs nothing that
    the loop gives a value."""
    statement, loop = facts.statement(event.at.node), innermost(event.path)
    if not isinstance(statement, ast.Assign) or not isinstance(loop, ast.For) or len(loop.body) < 2:
        return []
    if not any(item is statement for item in loop.body) or event.at.source is not facts.source:
        return []
    stored = {part.id for part in ast.walk(loop) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    stored -= {part.id for target in statement.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    if any(isinstance(part, ast.Name) and part.id in stored for part in ast.walk(statement)):
        return []
    title = "Make the optimizer before the loop"
    gone = Fix(title, Safety.SUGGESTED, edits.delete_statement(Place(facts.source, statement)))
    return all_of(title, put(facts, loop, with_comment(facts, statement), behind=False), [gone])


def _is_for_the_same(facts: Facts, first: Event, second: Event) -> bool:
    """Has the next round of a loop made an optimizer of the same sort, which has a state, for the same parameters?"""
    one, other = _last_rounds(first), _last_rounds(second)
    if not one or [a.loop for a in one] != [b.loop for b in other] or one[:-1] != other[:-1] or one == other:
        return False
    if _is_conditional(second) or _options(first) != _options(second) or not _has_state(second):
        return False
    if second.open and not second.parameters:
        module = _module_of(facts, second)
        return module is not None and module is _module_of(facts, first)
    return bool(second.parameters) and set(first.parameters) == set(second.parameters)


def _last_rounds(event: Event) -> list[Round]:
    """The round of each loop in which something happens, outermost first."""
    found: dict[object, Round] = {}
    for one in rounds_of(event.path):
        found[one.loop] = one
    return list(found.values())


def _is_conditional(event: Event) -> bool:
    """Does the round do it only in some case?"""
    return event.path is not None and not isinstance(event.path[1], Round)


def _has_state(event: Event) -> bool:
    """Does the optimizer keep anything from step to step, besides its options? What LBFGS keeps belongs to a search."""
    made, call = event.value, event.call
    if not isinstance(made, Instance) or made.data.get("searches"):
        return False
    return not made.path.endswith(".SGD") or call.known(2, "momentum", default=0) != 0


def _options(event: Event) -> tuple[object, ...]:
    """The sort of the optimizer, and what is known of its options except for the rate, which a training may change."""
    call: Call = event.call
    given = [*enumerate(call.args[2:], 2), *((name, value) for name, value in sorted(call.kwargs.items()))]
    known = [
        (name, str(value.value)) for name, value in given if name != "lr" and isinstance(value, Host) and value.known
    ]
    return (event.value.path if isinstance(event.value, Instance) else "", *known)


def _module_of(facts: Facts, made: Event) -> Value | None:
    """The module of which nothing is known whose `parameters()` an optimizer gets."""
    given = next(iter(made.call.node.args), None)
    for function, _, result in facts.evaluations(given) if isinstance(given, ast.Call) else ():
        if result is made.given and isinstance(function, Unknown):
            return function.fields.get("of")
    return None


def _step_of(facts: Facts, made: tuple[int, Event], end: int) -> Event | None:
    """A step of this optimizer before the event number `end`, in at most one loop more than where it is made: two are
    the epochs of a training."""
    depth = len(_last_rounds(made[1]))
    steps = [event for n, event in facts.numbered("step") if made[0] < n < end and event.value is made[1].value]
    return steps[0] if steps and all(len(_last_rounds(event)) <= depth + 1 for event in steps) else None


def _is_another_training(facts: Facts, first: tuple[int, Event], second: tuple[int, Event]) -> bool:
    """Are the parameters given other values, or frozen, or the state handed on, from one optimizer to the next?"""
    held = set(second[1].parameters)
    known = {write for writes in first[1].writes for write in writes}
    for write in (write for writes in second[1].writes for write in writes):
        if write not in known and write.stepper is not first[1].value:
            return True
    for node, records in facts.called("load_state_dict", "reset_parameters"):
        if any(isinstance(f, Bound) and f.receiver in (first[1].value, second[1].value) for f, _, _ in records):
            return True
        if isinstance(node.func, ast.Attribute) and node.func.attr == "reset_parameters":
            return True
    module = _module_of(facts, second[1]) if second[1].open else None
    for number, event in facts.numbered("requires-grad-set", "unknown-call"):
        if not first[0] < number < second[0]:
            continue
        if event.kind == "requires-grad-set" and event.value in held:
            return True
        if event.kind == "unknown-call" and _may_change(event, held, module):
            return True
    return False


def _may_change(event: Event, held: set[Value], module: Value | None) -> bool:
    """May unknown code give the parameters other values?"""
    if module is not None and isinstance(event.value, Unknown) and event.value.fields.get("of") is module:
        called = event.at.node.func if isinstance(event.at.node, ast.Call) else None
        return not isinstance(called, ast.Attribute) or called.attr not in _HARMLESS
    for value in event.arguments:
        if value is module or value in held:
            return module is not None or value in held
        if isinstance(value, Instance) and any(tensor in held for _, tensor in parameters_of(value)[0]):
            return True
    return False


_HARMLESS = frozenset(("train", "eval", "zero_grad", "parameters", "named_parameters", "to", "forward", "state_dict"))


def _has_data_of_its_own(facts: Facts, event: Event) -> bool:
    """Does a round of the loop go through other data than the next: what it takes out of a list by its number, or what
    it is given to go through?"""
    loop = _statement(event)
    if loop is None:
        return False
    if isinstance(loop.iter, (ast.Tuple, ast.List)):
        return True  # What is listed one by one are phases.
    own = _elements(loop)
    numbers = {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)} - own

    def is_of_round(node: ast.AST) -> bool:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in own:
                return True
            if isinstance(part, ast.Subscript):
                names = {one.id for one in ast.walk(part.slice) if isinstance(one, ast.Name)}
                if names & numbers and isinstance(part.ctx, ast.Load):
                    return True
        return False

    for part in (part for statement in loop.body for part in ast.walk(statement)):
        if isinstance(part, ast.Assign) and is_of_round(part.value):
            own |= {name.id for target in part.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    calls = [at.node for at, _ in _calls_in_loop(event) if isinstance(at.node, ast.Call)]
    if calls:
        return any(is_of_round(given) for call in calls for given in (*call.args, *(k.value for k in call.keywords)))
    inner = (part for statement in loop.body for part in ast.walk(statement))
    return any(isinstance(part, ast.For) and is_of_round(part.iter) for part in inner)


def _elements(loop: ast.For) -> set[str]:
    """The names that a loop gives elements of what it goes through, and not the number of the round."""
    target, calls = loop.target, loop.iter
    name = calls.func.id if isinstance(calls, ast.Call) and isinstance(calls.func, ast.Name) else ""
    if name == "range":
        return set()
    if name == "enumerate" and isinstance(target, ast.Tuple) and len(target.elts) == 2:
        target = target.elts[1]
    return {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}


def _statement(event: Event) -> ast.For | None:
    """The innermost loop that something happens in, if it is a `for`."""
    statement = innermost(event.path)
    return statement if isinstance(statement, ast.For) else None


def _calls_in_loop(event: Event) -> Iterator[tuple[At, Function]]:
    """The call that led from the loop to where the optimizer is made."""
    statement = _statement(event)
    for at, function in event.callers():
        if statement is not None and any(at.node is part for part in ast.walk(statement)):
            yield at, function
            return
