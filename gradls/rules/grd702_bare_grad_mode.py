"""GRD702."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Tag
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class BareGradMode(Rule):
    """`torch.no_grad()` written as a statement, where it does nothing.

    ## What it finds
    A statement that only calls `torch.no_grad`, `torch.enable_grad`, `torch.inference_mode` or `torch.autocast`.

    ## Why it matters
    The call makes a context manager, which changes the mode only while it is entered. As a statement it is thrown away
    at once, and what follows is recorded as before.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    torch.no_grad()
    output = model(torch.randn(8, 3))
    assert output.requires_grad
    ```

    ## Use instead
    A `with` block, or the decorator.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        output = model(torch.randn(8, 3))
    assert not output.requires_grad
    ```

    ## When it is silent
    For `torch.set_grad_enabled(False)`, which works as a statement too.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    torch.set_grad_enabled(False)
    output = model(torch.randn(8, 3))
    torch.set_grad_enabled(True)
    assert not output.requires_grad
    ```

    ## Fix safety
    Suggested: `torch.no_grad()` becomes `torch.set_grad_enabled(False)`, which lasts until it is set back.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
    """

    code, name, severity = "GRD702", "bare-grad-mode", Severity.WARNING
    tag = Tag.UNNECESSARY

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("statement"):
            value, node = event.value, event.at.node
            if isinstance(value, Instance) and value.path in _CONTEXTS and isinstance(node, ast.Expr):
                yield self._report(facts, event, value.path, node)

    def _report(self, facts: Facts, event: Event, path: str, node: ast.Expr) -> Finding:
        message = (
            f"{code(facts, node.value)} changes nothing as a statement: enter it, `with {ast.unparse(node.value)}:`"
        )
        fixes = []
        function = node.value.func if isinstance(node.value, ast.Call) and not node.value.args else None
        if isinstance(function, ast.Attribute) and path in ("torch.no_grad", "torch.enable_grad"):
            new = f"{ast.unparse(function.value)}.set_grad_enabled({path == 'torch.enable_grad'})"
            edit = edits.replace_expression(Place(event.at.source, node.value), new)
            fixes.append(Fix(f"Use {new}", Safety.SUGGESTED, edit))
        return self.finding(place(event.at), message, (), fixes)


_CONTEXTS = frozenset(("torch.no_grad", "torch.enable_grad", "torch.inference_mode", "torch.autocast"))
