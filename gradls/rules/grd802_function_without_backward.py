"""GRD802."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Choice, Class, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class FunctionWithoutBackward(Rule):
    """A custom Function lacks what autograd needs of it.

    ## What it finds
    A `torch.autograd.Function` without `forward` that is applied, one without `backward` (or `vjp`) that a backward
    reaches, and one with both `backward` and `vjp`.

    ## Why it matters
    Autograd does not look into the forward of a custom Function: what is computed there has the gradient that its
    `backward` says, and no other.

    ## What PyTorch does
    It raises one of

        NotImplementedError: You must implement the forward function for custom autograd.Function.

        NotImplementedError: You must implement either the backward or vjp method for your custom autograd.Function

        RuntimeError: Implementing both 'backward' and 'vjp' for a custom Function is not allowed.

    ## Example
    ```python
    import torch

    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

    x = torch.ones(3, requires_grad=True)
    Round.apply(x).sum().backward()  # raises NotImplementedError: You must implement either the backward or vjp
    ```

    ## Use instead
    A backward: for a straight-through estimator it passes the gradient on.

    ```python
    import torch

    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = torch.ones(3, requires_grad=True)
    Round.apply(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    ```

    ## When it is silent
    Where no backward is seen to reach it: a Function for inference needs none. Where it is one of several classes
    of the same name, one of which only stands for a library that is not installed.

    ```python
    import torch

    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

    assert Round.apply(torch.tensor([0.6])).item() == 1
    ```

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd
    """

    code, name, severity = "GRD802", "function-without-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        missing: dict[object, tuple[Class, Event]] = {}
        for event in facts.of("function-apply"):
            cls = event.value
            if not isinstance(cls, Class) or event.caught or event.unsure:
                continue
            if any(isinstance(function, Choice) for function, _, _ in _evaluations(facts, event)):
                continue  # One of several classes: it may stand for what this machine does not have.
            if event.forward is None:
                message = f"{code(facts, event.at.node)} raises: `{cls.name}` has no `forward`"
                yield self.finding(place(event.at), message, [_definition(event, cls)])
            elif not event.has_backward:
                missing.update(dict.fromkeys(event.nodes, (cls, event)))
            elif event.has_both:
                message = f"`{cls.name}` has both `backward` and `vjp`: its backward raises. Keep one of them"
                yield self.finding(place(event.at), message, [_definition(event, cls)])
        for event in facts.of("backward", "grad-call"):
            reached: Iterable[Node] | None = event.info.get("ran")
            if reached is None:
                reached = () if event.node is None else walk(event.node, follow="flow")
            found = next((missing[node] for node in reached if node in missing), None)
            if found is not None and not event.caught:
                cls, applied = found
                message = f"{code(facts, event.at.node)} raises: `{cls.name}` has no `backward`"
                steps = [_definition(applied, cls), Step(place(applied.at), "it is applied here")]
                yield self.finding(place(event.at), message, steps)


def _evaluations(facts: Facts, event: Event) -> list[tuple[Value, object, Value]]:
    return facts.calls.get(event.at.node, []) if isinstance(event.at.node, ast.Call) else []


def _definition(event: Event, cls: Class) -> Step:
    return Step(place(event.at)._replace(node=cls.node, source=cls.source), f"`{cls.name}` is defined here")
