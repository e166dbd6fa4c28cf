"""GRD708."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.join import options
from gradls.flow.paths import Round
from gradls.flow.values import Mapping, Tensor, Value
from gradls.rules.copy_fixes import copied
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.snapshots import is_chosen, is_used_after
from gradls.rules.training_order import loops_of, receiver_of, rounds_of
from gradls.rules.words import code, place


class AliasedStateDict(Rule):
    """A `state_dict()` that is kept as a snapshot, and goes on changing with the model.

    ## What it finds
    The result of `state_dict()` that is loaded back into the same model after the model was trained on, without a copy
    in between. And one that is taken on a branch of the training loop, for the best result, and is written to a file or
    loaded into another model after the loop. As information, one that is returned or read after the model was trained
    on.

    ## Why it matters
    The tensors in the dictionary share their memory with the parameters. Each step changes both, so what is restored in
    the end are the last weights, not the best ones.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best, before = model.state_dict(), model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    model.load_state_dict(best)
    assert not torch.equal(model.weight, before)
    ```

    ## Use instead
    A deep copy.

    ```python
    import copy
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best, before = copy.deepcopy(model.state_dict()), model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    model.load_state_dict(best)
    assert torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the dictionary goes into another model, or nothing was trained since.

    ```python
    import torch

    model, target = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        target.load_state_dict(model.state_dict())
    assert torch.equal(model.weight, target.weight)
    ```

    ## Fix safety
    Suggested: it copies the state with `copy.deepcopy`, and imports `copy`; that costs the memory of one more model.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/serialization.html
    """

    code, name, severity = "GRD708", "aliased-state-dict", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from self._of_unknown(facts)
        if any(facts.of("state-dict")):
            yield from self._of_known(facts)

    def _of_known(self, facts: Facts) -> Iterable[Finding]:
        taken: dict[Node, tuple[int, Event]] = {}
        told: set[ast.AST] = set()
        for number, event in enumerate(facts.events):
            if event.kind == "state-dict":
                tensors = event.result.entries.values()
                taken.update({tensor.node: (number, event) for tensor in tensors if isinstance(tensor, Tensor)})
            given = _given(event)
            for node in _aliases(given) if given is not None else ():
                start, state = taken.get(node, (0, None))
                back = event.kind == "load-state-dict" and state is not None and state.value is event.value
                if state is None or not (back or _is_of_a_chosen_round(state, event)):
                    continue
                step = _trained(facts, start, number, set(state.parameters))
                if step is not None and state.at.node not in told:
                    told.add(state.at.node)
                    yield self._report(facts, state, step, event)
            if event.kind in ("mapping-used", "return", "yield") and taken and event.value is not None:
                yield from self._of_use(facts, number, taken, told)

    def _of_unknown(self, facts: Facts) -> Iterable[Finding]:
        """The state of something unknown, which only the name of the method says to be a module."""
        told: set[ast.AST] = set()
        for state in facts.of("unknown-call"):
            node, source = state.at.node, state.at.source
            if getattr(state.value, "name", "") != "state_dict" or state.arguments or node in told:
                continue
            above, model = source.parent(node), receiver_of(node)
            target = above.targets[0] if isinstance(above, ast.Assign) and above.value is node else None
            if model is None or not isinstance(target, (ast.Name, ast.Attribute)) or not is_chosen(state):
                continue
            step = _trained_around(facts, state, source.segment(model))
            if step is None or not is_used_after(source, target, rounds_of(state.path)[-1]):
                continue
            told.add(node)
            message = (
                f"if `{source.segment(model)}` is a module, {code(facts, node)} shares its memory with the parameters, "
                "and the rounds that follow change it, too: what is used later are the last weights; keep "
                "`copy.deepcopy(...)` of it"
            )
            story = [Step(place(step.at), "this changes the kept tensors")]
            yield self.finding(place(state.at), message, story, copied(state.at, node), Severity.INFORMATION)

    def _of_use(
        self, facts: Facts, number: int, taken: dict[Node, tuple[int, Event]], told: set[ast.AST]
    ) -> Iterable[Finding]:
        """A state that is used in another way after the parameters were changed."""
        use = facts.events[number]
        assert use.value is not None
        for node in _aliases(use.value):
            start, state = taken.get(node, (0, None))
            if state is None or state.at.node in told:
                continue
            step = _trained(facts, start, number, set(state.parameters))
            if step is None:
                continue
            told.add(state.at.node)
            message = (
                f"{code(facts, state.at.node)} shares its memory with the parameters: {code(facts, step.at.node)} "
                f"changes it too, and what is used later are the weights of then; keep `copy.deepcopy(...)` of it, if "
                "it is a snapshot"
            )
            story = [Step(place(step.at), "this changes the kept tensors"), Step(place(use.at), "they are used here")]
            fixes = copied(state.at, state.at.node)
            yield self.finding(place(state.at), message, story, fixes, Severity.INFORMATION)

    def _report(self, facts: Facts, state: Event, step: Event, load: Event) -> Finding:
        message = (
            f"{code(facts, state.at.node)} shares its memory with the parameters: {code(facts, step.at.node)} "
            f"changes it too, and {code(facts, load.at.node)} gets the last weights; keep `copy.deepcopy(...)` of it"
        )
        story = [
            Step(place(step.at), "this changes the kept tensors"),
            Step(place(load.at), "and they are used here"),
        ]
        return self.finding(place(state.at), message, story, copied(state.at, state.at.node))


def _trained_around(facts: Facts, state: Event, model: str) -> Event | None:
    """Something in the loop in which a state is taken that trains, or is given the model."""
    loop = id(rounds_of(state.path)[-1].loop)
    for event in facts.of("step", "unknown-step", "scaler-step", "backward", "unknown-call"):
        if loop not in loops_of(event.path):
            continue
        node, source = event.at.node, event.at.source
        arguments = [*node.args, *(part.value for part in node.keywords)] if isinstance(node, ast.Call) else []
        if event.kind != "unknown-call" or any(source.segment(argument) == model for argument in arguments):
            return event
    return None


def _given(event: Event) -> Value | None:
    """What is loaded into a model or written to a file."""
    if event.kind == "load-state-dict":
        given: Value | None = event.given
        return given
    return event.value if event.kind == "saved" else None


def _is_of_a_chosen_round(state: Event, use: Event) -> bool:
    """Was a state taken on a branch in a loop, such as that of the best result, and both are left by its use?"""
    taken, used = list(_steps(state)), list(_steps(use))
    chosen = any(part not in used for part in taken if not isinstance(part, Round))
    loops = {part.loop for part in taken if isinstance(part, Round)}
    return chosen and bool(loops - {part.loop for part in used if isinstance(part, Round)})


def _steps(event: Event) -> Iterator[object]:
    """The decisions and rounds that led to an event."""
    path = event.path
    while path is not None:
        yield path[1]
        path = path[0]


def _aliases(given: Value) -> list[Node]:
    """The nodes of the tensors in a dictionary that come right from a `state_dict()`, and are no copies."""
    todo = [value for option in options(given) if isinstance(option, Mapping) for value in option.entries.values()]
    # A checkpoint is a dictionary with the state of the model in it.
    todo += [part for value in todo if isinstance(value, Mapping) for part in value.entries.values()]
    nodes = [tensor.node for tensor in todo if isinstance(tensor, Tensor)]
    found: dict[Node, None] = {}
    while nodes and len(found) < 1000:
        node = nodes.pop()
        if node.kind == "phi":
            nodes += [edge.node for edge in node.edges if edge.node not in found]
        found[node] = None
    return [node for node in found if node.op == "state_dict"]


def _trained(facts: Facts, start: int, end: int, parameters: set[Tensor]) -> Event | None:
    """A step or write that changes the parameters between two events."""
    for event in facts.events[start:end]:
        if event.kind == "step" and parameters & set(event.parameters):
            return event
        if event.kind == "write" and event.value in parameters:
            return event
    return None
