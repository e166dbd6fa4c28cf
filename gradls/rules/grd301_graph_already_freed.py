"""GRD301."""

import ast
from collections.abc import Iterator, Sequence

from gradls.flow.backward import of_other_elements
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Freed, Node
from gradls.flow.paths import Evaluations, before_loop, from_earlier_round
from gradls.flow.reach import way
from gradls.flow.values import Tensor
from gradls.flow.ways import way_on
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.freed_graph_fixes import (
    carried_over,
    computed_before,
    differentiated_sum,
    emptied,
    kept_for_all_rounds,
)
from gradls.rules.histories import holder_in
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import maker, shown
from gradls.rules.training_order import rounds_of
from gradls.rules.words import code, place


class GraphAlreadyFreed(Rule):
    """A backward through a graph that an earlier backward has freed.

    ## What it finds
    A backward that reaches an operation whose saved tensors an earlier backward has freed. There are four ways there:
    backward twice through one forward, two losses that share a part of it, a value that is carried from round to round
    of a loop with its graph, and a value that is computed once, before a loop or in `__init__`, and used in each round.

    ## Why it matters
    A backward frees what the operations have saved as soon as it is through with them, to save memory. What comes after
    has nothing left to compute gradients from.

    ## What PyTorch does
    The second backward raises

        RuntimeError: Trying to backward through the graph a second time (or directly access saved tensors after they
        have already been freed).

    and does not say which backward was the first, nor what the two share.

    ## Example
    ```python
    import torch

    trunk, one, other = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    hidden = torch.tanh(trunk(torch.randn(8, 3)))
    one(hidden).mean().backward()
    other(hidden).mean().backward()  # raises RuntimeError: Trying to backward through the graph a second time
    ```

    ```python
    import torch

    cell = torch.nn.RNNCell(3, 4)
    state = torch.zeros(8, 4)
    for _ in range(3):
        state = cell(torch.randn(8, 3), state)
        state.pow(2).mean().backward()  # raises RuntimeError: Trying to backward through the graph a second time
    ```

    ```python
    import torch

    raw = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([raw], lr=0.1)
    scale = raw.exp()
    for _ in range(3):
        optimizer.zero_grad()
        (scale * torch.randn(3)).sum().backward()  # raises RuntimeError: Trying to backward through the graph
        optimizer.step()
    ```

    ```python
    import torch

    model, data = torch.nn.Linear(3, 1), torch.randn(8, 3)
    optimizer = torch.optim.LBFGS(model.parameters())
    predicted = model(data)

    def closure():
        optimizer.zero_grad()
        loss = predicted.pow(2).mean()
        loss.backward()  # raises RuntimeError: Trying to backward through the graph a second time
        return loss

    optimizer.step(closure)
    ```

    ## Use instead
    One backward for the sum of the losses; a state that is detached from the round before; the computation inside the
    loop. `retain_graph=True` on the first backward keeps the graph, where both really are to go through it.

    ```python
    import torch

    trunk, one, other = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    hidden = torch.tanh(trunk(torch.randn(8, 3)))
    (one(hidden).mean() + other(hidden).mean()).backward()
    assert trunk.weight.grad is not None
    ```

    ```python
    import torch

    cell = torch.nn.RNNCell(3, 4)
    state = torch.zeros(8, 4)
    for _ in range(3):
        state = cell(torch.randn(8, 3), state.detach())
        state.pow(2).mean().backward()
    assert cell.weight_hh.grad is not None
    ```

    ```python
    import torch

    raw = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([raw], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (raw.exp() * torch.randn(3)).sum().backward()
        optimizer.step()
    assert raw.grad is not None
    ```

    ## When it is silent
    Where what is shared has saved nothing (sums, means, views, additions can be gone through again), where the graph is
    kept, and where it depends on tests that gradls cannot decide.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    z = (x * x).sum()
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.tolist() == [6, 6, 6]
    ```

    ## Fix safety
    Suggested. Keeping the graph costs memory, and often the sum of the losses is what is meant. What is carried over is
    detached where it is stored, or at the end of the round; what was computed once is computed in the loop, or in a
    property, if something is trained through it only, and detached if not.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#saved-tensors
    """

    code, name, severity = "GRD301", "graph-already-freed", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("freed-graph"):
            if not event.caught:
                yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        freed, node, root = event.by, event.node, _root(event)
        assert isinstance(freed, Freed)
        assert node is not None
        others = of_other_elements(root)
        taken = way_on(root, node, freed.path, event.path) or way(root, node)
        steps = [step for step in taken if step not in others and not (others and step is root)]
        carried = next((step for step in steps if from_earlier_round(event.path, step.path)), None)
        before = next((step for step in steps if before_loop(event.path, step.path)), None)
        fixes: Sequence[Fix] = ()
        if carried is not None:
            shared, words = carried, _carried(facts, event, carried)
            fixes = differentiated_sum(facts, event)
            kept = kept_for_all_rounds(facts, event, carried) if not fixes else None
            if kept is not None:
                words, fixes = _kept(facts, event, kept), emptied(facts, event, kept)
            fixes = fixes or (carried_over(facts, event, carried) if kept is None else ())
        elif before is not None and freed.at == event.at:
            shared, words = before, _made_before(facts, event, before)
            closure = facts.function(event.at.node) if _runs_in_closure(event, before) else None
            fixes = computed_before(facts, event, before, closure)
        else:
            shared, words = node, _shared(facts, event, node)
            if _can_keep(event):
                keep = edits.set_keyword(place(freed.at), "retain_graph", "True")
                fixes = [Fix("Keep the graph in the first backward", Safety.SUGGESTED, keep)]
        story = [Step(place(shared.at), "both go through this")] if shared.at is not None else []
        story.append(Step(place(freed.at), "the first backward, which frees it"))
        if not event.info.get("likely"):
            return self.finding(place(event.at), words, story, fixes)
        words = f"{words} (unless the model gives it without a graph, or saves nothing)"
        return self.finding(place(event.at), words, story, fixes, Severity.INFORMATION)


def _root(event: Event) -> Node:
    """What the backward begins at."""
    value = event.value
    root: Node = value.node if isinstance(value, Tensor) else value.fields["node",]  # type: ignore[union-attr]
    return root


def _carried(facts: Facts, event: Event, value: Node) -> str:
    return (
        f"{code(facts, event.at.node)} goes on into the graph of an earlier round, which {_freed(facts, event)}: it "
        f"raises. {_value(facts, value, True)} is carried over with its graph; `detach()` it in each round"
    )


def _kept(facts: Facts, event: Event, call: ast.Call) -> str:
    holder = holder_in(call)
    name = code(facts, holder) if holder is not None else "the list"
    return (
        f"{code(facts, event.at.node)} goes on into the graph of an earlier round, which {_freed(facts, event)}: it "
        f"raises. {name} still has what the rounds before have put there, with its graph; empty it in each round"
    )


def _made_before(facts: Facts, event: Event, value: Node) -> str:
    backward = code(facts, event.at.node)
    if _runs_in_closure(event, value):
        return (
            f"{backward} runs each time that the optimizer calls its closure, several times in one step, and goes "
            f"through {_value(facts, value)}, which was computed once, outside: the first backward frees its graph, "
            "and the second raises. Compute it in the closure"
        )
    if value is _root(event):
        return (
            f"{backward} runs in every round of a loop, but its forward ran once, before the loop: the second round "
            f"raises. Run the forward inside the loop"
        )
    return (
        f"{backward} goes through {_value(facts, value)} in every round, but it was computed once, before the loop, "
        f"and the first backward frees its graph: the second raises. Compute it in each round"
    )


def _runs_in_closure(event: Event, value: Node) -> bool:
    """Is what makes it run again that an optimizer calls its closure several times?"""
    closures = {step.loop for step in rounds_of(event.path) if isinstance(step.loop, Evaluations)}
    return bool(closures) and closures.isdisjoint(step.loop for step in rounds_of(value.path))


def _shared(facts: Facts, event: Event, value: Node) -> str:
    keep = "keep the graph in the first (`retain_graph=True`)"
    run = "`detach()` what the second is not to train, or run the forward again"
    what = f"{code(facts, event.at.node)} goes through {_value(facts, value)} again, whose graph {_freed(facts, event)}"
    if isinstance(event.at.node, ast.Return):
        return f"{what}: it raises. Leave backward to the trainer"
    return f"{what}: it raises. Add the losses and call backward once, {'or ' + keep if _can_keep(event) else run}"


def _can_keep(event: Event) -> bool:
    """Would it help to keep the graph in the first backward? Not where a trainer calls the second."""
    if isinstance(event.at.node, ast.Return):
        return False
    return event.by.at != event.at and not event.overwritten and isinstance(event.by.at.node, ast.Call)


def _freed(facts: Facts, event: Event) -> str:
    first = event.by.at
    return "its backward has freed" if first == event.at else f"{shown(facts, first)} has freed"


def _value(facts: Facts, node: Node, first: bool = False) -> str:
    """The value that both share: its name, or the expression that made it."""
    if node.name:
        return f"`{node.name}`"
    return f"{'What' if first else 'what'} {maker(facts, node)} gave"
