"""GRD619."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Bound, Tensor, Unknown
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, TextEdit
from gradls.rules.rule import Rule
from gradls.rules.training_order import gradient_of
from gradls.rules.words import code, place

_WITH_TWIN = frozenset((
    "abs", "add", "addcdiv", "addcmul", "clamp", "clamp_max", "clamp_min", "clip", "copysign", "detach", "div",
    "divide", "exp", "fill", "floor", "index_add", "index_copy", "index_fill", "lerp", "log", "masked_fill",
    "masked_scatter", "mul", "multiply", "neg", "pow", "relu", "round", "scatter", "scatter_add", "sigmoid", "sign", "sqrt",
    "squeeze", "sub", "subtract", "tanh", "t", "transpose", "unsqueeze",
))  # fmt: skip
"""Methods that have a twin in place, with an underscore."""
_PLAIN = frozenset(("to", "cuda", "cpu", "float", "double", "half", "long", "view", "reshape", "permute", "contiguous"))


class UnusedResult(Rule):
    """A tensor operation whose result is thrown away.

    ## What it finds
    A statement that only calls a method such as `detach()`, `clamp(...)` or `to(device)` of a tensor. It gives a new
    tensor, which nobody has, and leaves the old one as it was.

    ## Why it matters
    `hidden.detach()` as a statement detaches nothing, and `parameter.grad.clamp(-1, 1)` clips nothing.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    hidden = torch.nn.Linear(3, 4)(torch.randn(8, 3))
    hidden.detach()
    assert hidden.requires_grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(1, 1)
    (100 * model(torch.ones(1, 1))).sum().backward()
    for parameter in model.parameters():
        parameter.grad.clamp(-1, 1)
    assert model.weight.grad.item() > 1
    ```

    ## Use instead
    The result, or the method with an underscore.

    ```python
    import torch

    model = torch.nn.Linear(1, 1)
    hidden = model(torch.ones(1, 1))
    (100 * hidden).sum().backward()
    hidden = hidden.detach()
    assert not hidden.requires_grad
    for parameter in model.parameters():
        parameter.grad.clamp_(-1, 1)
    assert model.weight.grad.item() == 1
    ```

    ## When it is silent
    For methods of modules, which change the module; and where an error is expected.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model.double()
    assert model.weight.dtype == torch.float64
    ```

    ## Fix safety
    Suggested: the result is bound to the name of the tensor.

    ## References
    - https://docs.pytorch.org/docs/stable/tensors.html
    """

    code, name, severity = "GRD619", "unused-result", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[ast.AST] = set()
        for event in facts.of("statement"):
            node = event.at.node
            call = node.value if isinstance(node, ast.Expr) and not event.caught else None
            if (
                event.caught
                or call in told
                or not isinstance(call, ast.Call)
                or not isinstance(call.func, ast.Attribute)
            ):
                continue
            name, receiver = call.func.attr, _receiver(facts, call)
            if receiver is None or (name not in _WITH_TWIN and name not in _PLAIN):
                continue
            if any(keyword.arg in ("out", "inplace") for keyword in call.keywords) or event.value is receiver:
                continue
            told.add(call)
            yield self._report(facts, event, call, receiver)

    def _report(self, facts: Facts, event: Event, call: ast.Call, receiver: Tensor) -> Finding:
        assert isinstance(call.func, ast.Attribute)
        owner = code(facts, call.func.value)
        name = call.func.attr
        instead = f"assign it, or call `{name}_()`" if name in _WITH_TWIN and name != "sign" else "assign it"
        message = f"{code(facts, call)} gives a new tensor, which is thrown away; {owner} stays as it is: {instead}"
        fixes = []
        if isinstance(call.func.value, ast.Name):
            new = f"{call.func.value.id} = {facts.source.segment(call)}"
            edit = TextEdit(event.at.source.path, Place(event.at.source, call).span, new)
            fixes.append(Fix("Assign the result", Safety.SUGGESTED, lambda: [edit]))
        certain = name == "detach" or gradient_of(receiver) is not None
        return self.finding(place(event.at), message, (), fixes, Severity.WARNING if certain else None)


def _receiver(facts: Facts, call: ast.Call) -> Tensor | None:
    """The tensor, known under a name, whose method a statement calls."""
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, (ast.Name, ast.Attribute)):
        return None
    for function, _, _ in facts.calls.get(call, ()):
        if isinstance(function, Bound) and isinstance(function.receiver, Tensor):
            return function.receiver
        if isinstance(function, Unknown):
            return None
    return None
