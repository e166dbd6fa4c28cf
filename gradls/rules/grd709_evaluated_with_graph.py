"""GRD709."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Tensor, Unknown, Value
from gradls.rules.conditions import UNLESS
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.loss_arguments import history
from gradls.rules.mode_fixes import without_graph
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_DIFFERENTIATES = frozenset(("backward", "grad-call", "requires-grad-set", "retain-grad", "grad-read", "functional"))


class EvaluatedWithGraph(Rule):
    """A model that is evaluated while autograd records everything.

    ## What it finds
    A model that was set to evaluation mode with `eval()` and is called in a loop with gradients on, where nothing
    differentiates what it gives.

    ## Why it matters
    `eval()` changes what dropout and batch normalization do, and nothing else. Each call still builds a graph and keeps
    every activation that a backward would need: evaluation takes several times the memory, and more time.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch


    def evaluate(model, loader):
        model.eval()
        outputs = [model(inputs) for inputs in loader]
        assert outputs[0].requires_grad
        return torch.cat(outputs).mean().item()


    evaluate(torch.nn.Linear(3, 1), torch.randn(2, 8, 3))
    ```

    ## Use instead
    `torch.no_grad()` or `torch.inference_mode()`, as a block or as a decorator, beside `eval()`.

    ```python
    import torch


    @torch.no_grad()
    def evaluate(model, loader):
        model.eval()
        outputs = [model(inputs) for inputs in loader]
        assert not outputs[0].requires_grad
        return torch.cat(outputs).mean().item()


    evaluate(torch.nn.Linear(3, 1), torch.randn(2, 8, 3))
    ```

    ## When it is silent
    Where gradients are computed after all, as for a saliency map or an attack; where the result is returned to code
    that may do so; where the parameters are frozen; and for a single call, of which the graph costs little.

    ```python
    import torch

    model = torch.nn.Linear(3, 2).eval()
    image = torch.randn(1, 3, requires_grad=True)
    model(image)[0, 1].backward()
    assert image.grad is not None
    ```

    ## Fix safety
    Suggested: a function that only evaluates is decorated with `@torch.no_grad()`; elsewhere the statement gets a block
    of its own.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval
    """

    code, name, severity = "GRD709", "evaluated-with-graph", Severity.INFORMATION
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        reported: set[tuple[ast.AST, Value | None]] = set()
        for number, event in facts.numbered("train-mode", "unknown-train-mode"):
            if event.mode is False:
                if (event.at.node, event.value) in reported or event.caught or event.info.get("frozen"):
                    continue
                called = _called_with_graph(facts, number, event)
                if called is not None:
                    reported.add((event.at.node, event.value))
                    yield self._report(facts, event, called)

    def _report(self, facts: Facts, event: Event, called: Event) -> Finding:
        condition = UNLESS if called.hypothetical else ""
        if called.kind == "unknown-call":
            condition = f", if the model has parameters that require grad and differentiates nothing itself{condition}"
        message = (
            f"{code(facts, called.at.node)} records a graph that nothing differentiates{condition}: `eval()` does not "
            "switch gradients off; evaluate under `torch.no_grad()`"
        )
        story = [Step(place(event.at), "evaluation begins here")]
        return self.finding(place(called.at), message, story, without_graph(facts, event, called))


def _called_with_graph(facts: Facts, number: int, event: Event) -> Event | None:
    """The first call of a model after it was set to evaluation mode, in the same function, that records a graph which
    nothing uses, and is made again and again."""
    found: Event | None = None
    again = False
    for later in _stretch(facts, number, event):
        if later.kind in _DIFFERENTIATES:
            return None
        if later.kind == "return" and later.alone and found is not None and _gives(later.value, found, later.nodes):
            return None
        if later.kind in ("attribute-set", "yield") and found is not None and _gives(_given(later), found):
            return None
        if found is None and _is_recorded_call(later, event):
            found = later
        elif found is not None and later.at.node is found.at.node and later.kind == found.kind:
            again = True
    if found is None or not again or _is_differentiated(facts, found):
        return None
    return found


def _stretch(facts: Facts, number: int, event: Event) -> Iterator[Event]:
    """What happens after `event` in its function, and in what that calls, until the model is in training mode again."""
    for later in facts.events[number + 1 :]:
        if later.kind == event.kind and later.mode is not False and later.value is event.value:
            return
        if later.alone is event.alone and _is_inside(later, event):
            yield later


def _is_inside(later: Event, event: Event) -> bool:
    calls = later.calls
    while calls is not None:
        if calls is event.calls:
            return True
        calls = calls[2]
    return event.calls is None


def _is_recorded_call(later: Event, event: Event) -> bool:
    if later.kind not in ("forward", "unknown-call"):
        return False
    if later.value is not event.value or later.info.get("grad") is not True:
        return False
    parts = [part for value in later.arguments for part in tensors_in(value)]
    if any(isinstance(part, Tensor) and part.requires_grad is not False for part in parts):
        return False
    if later.kind == "forward":
        given = tensors_in(later.result)
        return any(isinstance(part, Tensor) and part.requires_grad is True for part in given)
    return later.kind == "unknown-call" and isinstance(later.info.get("result"), Unknown) and bool(parts)


def _given(event: Event) -> Value | None:
    return event.assigned if event.kind == "attribute-set" else event.value


def _gives(value: Value | None, called: Event, then: tuple[Node, ...] = ()) -> bool:
    """Is the graph of a call part of a value, or may it be? `then` is what tensors in it were when it was returned."""
    if value is None:
        return False
    own = _nodes(called.result)
    return any(part in own for root in _nodes(value).union(then) for part in walk(root, follow="maybe"))


def _nodes(value: Value) -> set[Node]:
    found = {history(part) for part in tensors_in(value)}
    return {node for node in found if node is not None}


def _is_differentiated(facts: Facts, called: Event) -> bool:
    own = _nodes(called.result)
    for event in facts.of("backward", "grad-call"):
        roots = [event.node] if event.kind == "backward" else event.nodes
        if any(part in own for root in roots if root is not None for part in walk(root, follow="maybe")):
            return True
    return False
