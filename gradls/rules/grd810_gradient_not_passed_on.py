"""GRD810."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.values import Function
from gradls.rules.custom_functions import definitions
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code


class GradientNotPassedOn(Rule):
    """The backward of a custom Function does not use the gradient that it is given.

    ## What it finds
    A `torch.autograd.Function` whose `backward` returns gradients, and reads none of those that it gets.

    ## Why it matters
    What comes in is the gradient of the loss with respect to the result of the Function. Backward has to multiply it by
    the derivative of the Function; the derivative alone is right only where the result is the loss itself. If the
    result is scaled, averaged, or goes on into another layer, that is lost.

    ## What PyTorch does
    Nothing: the gradient is wrong, and `torch.autograd.gradcheck` would say so for a result that is no single number.

    ## Example
    ```python
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 2 * x

    x = torch.tensor(2.0, requires_grad=True)
    (Square.apply(x) * 3).backward()
    assert x.grad == 4  # and not 12
    ```

    ## Use instead
    The chain rule.

    ```python
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * 2 * x

    x = torch.tensor(2.0, requires_grad=True)
    (Square.apply(x) * 3).backward()
    assert x.grad == 12
    ```

    ## When it is silent
    Where backward returns None or zeros, or hands on what it got in any way.

    ```python
    import torch

    class Blocked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return None

    x = torch.ones(3, requires_grad=True)
    (Blocked.apply(x) + x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd
    """

    code, name, severity = "GRD810", "gradient-not-passed-on", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterator[Finding]:
        seen: set[ast.AST] = set()
        for cls, methods in definitions(facts).items():
            backward = methods.get("backward")
            if backward is None or backward.owner is not cls or backward.node in seen:
                continue
            seen.add(backward.node)
            returned = _returned(backward)
            if returned is not None:
                gradient = code(facts, returned.value or returned)
                message = (
                    f"{gradient} does not depend on the gradient that backward is given: it is right only "
                    "where the result of this Function is the loss itself. Multiply by the gradient"
                )
                at = Place(backward.source, returned)
                yield self.finding(at, message, [Step(Place(backward.source, backward.node), "this backward")])


def _returned(backward: Function) -> ast.Return | None:
    """The first return that gives a gradient, if nothing in a backward reads what it is given."""
    node = backward.node
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg is not None:
        return None
    arguments = [*node.args.posonlyargs, *node.args.args][1:]
    names = {argument.arg for argument in (*arguments, *([node.args.vararg] if node.args.vararg is not None else []))}
    found: ast.Return | None = None
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in (*names, "locals"):
            return None
        if isinstance(part, (ast.Global, ast.Nonlocal)):
            # Another function may have put the gradient there, as where it comes from another process.
            return None
        if isinstance(part, ast.Return) and found is None and part.value is not None and not _is_nothing(part.value):
            found = part
    return found if names else None


def _is_nothing(value: ast.expr) -> bool:
    """None and zeros, for all arguments: no gradient."""
    if isinstance(value, ast.Tuple):
        return all(_is_nothing(item) for item in value.elts)
    if isinstance(value, ast.Constant):
        return not value.value
    name = getattr(value.func, "attr", getattr(value.func, "id", "")) if isinstance(value, ast.Call) else ""
    return name in ("zeros", "zeros_like", "new_zeros")
