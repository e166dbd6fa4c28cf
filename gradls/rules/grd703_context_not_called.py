"""GRD703."""

import ast
from collections.abc import Iterable

from gradls.autograd.versions import BARE_MODE_DECORATES, shown
from gradls.flow.facts import Facts
from gradls.flow.values import Lib
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class ContextNotCalled(Rule):
    """`with torch.no_grad:` without the parentheses.

    ## What it finds
    A `with` statement over the class `torch.no_grad`, `torch.enable_grad` or `torch.inference_mode` itself. With
    a `target-torch` before 2.1, also `@torch.no_grad` and `@torch.enable_grad` as decorators.

    ## Why it matters
    Only an object of the class can be entered. As a decorator the class works without parentheses since PyTorch 2.1;
    in a `with` statement it does not.

    ## What PyTorch does
    It raises

        TypeError: 'type' object does not support the context manager protocol

    (Python 3.10 and older: `AttributeError: __enter__`).

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad:  # raises TypeError: 'type' object does not support the context manager protocol
        output = model(torch.randn(8, 3))
    ```

    ## Use instead
    The call.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        output = model(torch.randn(8, 3))
    assert not output.requires_grad
    ```

    ## When it is silent
    For the decorator.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)


    @torch.no_grad
    def predict(inputs):
        return model(inputs)


    assert not predict(torch.randn(8, 3)).requires_grad
    ```

    ## Fix safety
    Safe.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
    """

    code, name, severity = "GRD703", "context-not-called", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("context-not-called"):
            node = event.at.node
            name = event.value.path if isinstance(event.value, Lib) else "the class"
            if event.entered:
                message = f"{code(facts, node)} is a class, and only a call of it can be entered: `{name}()`"
            else:
                message = (
                    f"{code(facts, node)}: before PyTorch {shown(BARE_MODE_DECORATES.version)}, and this is for "
                    f"{shown(facts.target)}, only a call of the class is a decorator: `{name}()`"
                )
            fix = Fix("Call it", Safety.SAFE, edits.add_call(place(event.at), "()"))
            yield self.finding(place(event.at), message, (), [] if isinstance(node, ast.Call) else [fix])
