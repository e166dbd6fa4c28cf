"""GRD711."""

import ast
from collections.abc import Iterable

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import HIDING, Node
from gradls.flow.paths import before_loop, from_earlier_round, loops_of
from gradls.flow.reach import leaves, walk
from gradls.flow.sources import sources
from gradls.flow.values import Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.loss_arguments import history
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class RetainedForNothing(Rule):
    """`retain_graph=True` where the graph is not used again, or where it grows from round to round.

    ## What it finds
    A `backward(retain_graph=True)` after which nothing goes through the same graph; and one that goes, in each round of
    a loop, through the graphs of all rounds before. As a warning, one that goes through what was computed before the
    loop from parameters that the loop trains: it never becomes what the new parameters would make of it.

    ## Why it matters
    A graph that is kept holds every activation until the loss itself is gone. In a loop that carries a state without
    `detach()`, `retain_graph=True` only hides the error: each round takes more memory and more time than the one
    before.

    ## What PyTorch does
    Nothing, until

        torch.OutOfMemoryError: CUDA out of memory.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3)
    loss = model(inputs).pow(2).mean()
    loss.backward(retain_graph=True)
    assert torch.allclose(model.bias.grad, 2 * model(inputs).mean(0))  # the loss itself is all that is needed
    ```

    ```python
    import torch

    cell = torch.nn.RNNCell(2, 2)
    state, passed = torch.zeros(1, 2), []
    for _ in range(3):
        state = cell(torch.randn(1, 2), state)
        state.register_hook(passed.append)
        state.sum().backward(retain_graph=True)
    assert len(passed) == 1 + 2 + 3
    ```

    ```python
    import torch

    texels = torch.zeros(4, requires_grad=True)
    optimizer, seen = torch.optim.Adam([texels], lr=0.1), []
    image = torch.sigmoid(texels)
    for _ in range(3):
        optimizer.zero_grad()
        seen.append(image.tolist())
        image.sum().backward(retain_graph=True)
        optimizer.step()
    assert seen[0] == seen[1] == seen[2]
    ```

    ## Use instead
    Nothing, or `detach()` for what is carried on.

    ```python
    import torch

    cell = torch.nn.RNNCell(2, 2)
    state, passed = torch.zeros(1, 2), []
    for _ in range(3):
        state = cell(torch.randn(1, 2), state.detach())
        state.register_hook(passed.append)
        state.sum().backward()
    assert len(passed) == 3
    ```

    ## When it is silent
    Where a second `backward()` or `torch.autograd.grad` uses a part of the graph.

    ```python
    import torch

    output = torch.tanh(torch.nn.Linear(3, 2)(torch.randn(8, 3)))
    output[:, 0].sum().backward(retain_graph=True)
    output[:, 1].sum().backward()
    assert output.shape == (8, 2)
    ```

    ## Fix safety
    Suggested: it removes the argument.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    """

    code, name, severity = "GRD711", "retained-for-nothing", Severity.INFORMATION
    runs_once = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        by_place: dict[ast.AST, list[Event]] = {}
        for event in facts.of("backward"):
            by_place.setdefault(event.at.node, []).append(event)
        for events in by_place.values():
            if not all(_is_retained(event) and not event.caught for event in events):
                continue
            old = next((found for event in events if (found := _earlier(event)) is not None), None)
            stale = _stale(facts, events) if old is None else None
            if stale is not None:
                yield self._report_stale(facts, events[-1], *stale)
            elif old is not None:
                yield self._report_growth(facts, events[-1], old)
            elif not any(_is_used_again(facts, event) for event in events):
                yield self._report(facts, events[0])

    def _report(self, facts: Facts, event: Event) -> Finding:
        message = f"{code(facts, event.at.node)}: nothing goes through this graph again, and it is kept for nothing"
        fix = Fix("Remove retain_graph", Safety.SUGGESTED, edits.set_keyword(place(event.at), "retain_graph", None))
        return self.finding(place(event.at), f"{message}; leave `retain_graph` away", (), [fix])

    def _report_growth(self, facts: Facts, event: Event, old: Node) -> Finding:
        message = (
            f"{code(facts, event.at.node)} goes through the graphs of all rounds before, which `retain_graph=True` "
            "keeps: time and memory grow with each round. `detach()` what is carried over"
        )
        story = [Step(place(old.at), "this comes from an earlier round")] if old.at is not None else []
        return self.finding(place(event.at), message, story)

    def _report_stale(self, facts: Facts, event: Event, old: Node, step: Event) -> Finding:
        what = f"`{old.name}`" if old.name else code(facts, old.at.node) if old.at is not None else "part of it"
        message = (
            f"{code(facts, event.at.node)} goes through {what} in each round, which was computed once, before it: "
            f"{code(facts, step.at.node)} changes what it was computed from, and it stays what it was. `retain_graph` "
            "only hides that; compute it in the loop"
        )
        story = [Step(place(old.at), "this is computed before the loop")] if old.at is not None else []
        story.append(Step(place(step.at), "this changes what it was computed from"))
        return self.finding(place(event.at), message, story, severity=Severity.WARNING)


def _is_retained(event: Event) -> bool:
    """Is the graph of a backward kept because the program says so?"""
    return event.retain is True and "retain_graph" in event.call.kwargs and event.create is False


def _earlier(event: Event) -> Node | None:
    """The last operation of an earlier round that a backward goes through."""
    if event.node is None:
        return None
    old = [
        part
        for part in walk(event.node, follow="flow")
        if part.kind == "op" and part.frees and from_earlier_round(event.path, part.path)
    ]
    return max(old, key=lambda part: part.fields.born, default=None)


def _stale(facts: Facts, events: list[Event]) -> tuple[Node, Event] | None:
    """The last operation before the loop that a backward in it goes through in several rounds, and a step in the loop
    that changes what it was computed from. `events` are the rounds of that backward."""
    event = events[-1]
    if event.node is None:
        return None
    before = [
        part
        for part in walk(event.node, follow="flow")
        if part.kind == "op" and before_loop(event.path, part.path) and part.born < event.clock
    ]
    if not before:
        return None
    for step in facts.of("step"):
        if step.clock > event.clock:
            continue
        moved = set(step.trained)
        for part in sorted(before, key=lambda part: -part.born):
            around = loops_of(event.path) - loops_of(part.path)
            if step.clock > part.born and loops_of(step.path) & around and not moved.isdisjoint(leaves(part)):
                return (part, step) if _is_met_again(part, events) else None
    return None


def _is_met_again(part: Node, events: list[Event]) -> bool:
    """Do the backwards of several rounds go through an operation? One round stands for all of a loop in a later round
    of one around it."""
    roots = [event.node for event in events if event.node is not None and event.clock > part.born]
    return len(roots) < 2 or sum(part in walk(root, follow="flow") for root in roots) > 1


def _is_used_again(facts: Facts, event: Event) -> bool:
    """May anything go through the graph of a backward after it?"""
    start = facts.events.index(event) + 1
    if event.node is None or _is_of_caller(event.node):
        return True
    # What is handed in may be the result of operations that are not seen, so it may have a graph, too.
    own = {part for part in walk(event.node, follow="maybe") if part.leaf is None or part.leaf.leaf is None}
    for later in facts.events[start:]:
        if later.kind == "backward" and later.node is None:
            return True
        given, roots = _taken(later)
        if any(isinstance(part, Unknown) and part.origin in HIDING for value in given for part in tensors_in(value)):
            return True  # Branches were joined in it: what it was computed from is forgotten.
        if any(part in own for root in [*roots, *_nodes(given)] for part in walk(root, follow="maybe")):
            return True
    return False


def _taken(later: Event) -> tuple[list[Value], list[Node]]:
    """The values, and the nodes, from which somebody may go backwards after an event."""
    given: list[Value | None] = []
    roots: list[Node] = []
    if later.kind == "backward":
        roots = [later.node] if later.node is not None else []
    elif later.kind == "grad-call":
        roots = list(later.nodes)
    elif later.kind in ("return", "yield") and later.alone:
        given, roots = list(later.info.get("parts", (later.value,))), list(later.info.get("nodes", ()))
    elif later.kind == "unknown-call":
        given = list(later.arguments)
    elif later.kind == "attribute-set":
        given = [later.assigned]
    return [value for value in given if value is not None], roots


def _is_of_caller(root: Node) -> bool:
    """If there is a graph that a backward from `root` goes through, did a caller that is not seen make all but its last
    steps? It may go through them again."""
    found = sources(root)
    return bool(found.arguments) and not (found.calls or found.others)


def _nodes(values: Iterable[Value]) -> list[Node]:
    parts = [part for value in values for part in tensors_in(value)]
    nodes = [part.node if isinstance(part, Tensor) else history(part) for part in parts]
    return [node for node in nodes if node is not None]
