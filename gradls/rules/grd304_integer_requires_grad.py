"""GRD304."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown, statement_of
from gradls.rules.words import place


class IntegerRequiresGrad(Rule):
    """A tensor of integers or booleans is to require grad.

    ## What it finds
    `requires_grad=True`, `requires_grad_()` or `nn.Parameter(...)` for a tensor whose dtype is an integer type or bool:
    made of whole numbers (`torch.tensor([1, 2])`, `torch.arange(3)`), or the result of `argmax`, `max(...)[1]`,
    a comparison or `.long()`. And a module that is converted to such a type, or a parameter whose `.data` becomes one.

    ## Why it matters
    A gradient is the answer to a small change, and integers do not change by a little. Where the integers came out of
    a network, its gradient was lost before.

    ## What PyTorch does
    It raises

        RuntimeError: Only Tensors of floating point and complex dtype can require gradients

    or `only Tensors of floating point dtype can require gradients`, and for a module

        TypeError: nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int64

    ## Example
    ```python
    import torch

    w = torch.tensor([1, 2, 3], requires_grad=True)  # raises RuntimeError: Only Tensors of floating point
    ```

    ```python
    import torch

    position = torch.nn.Parameter(torch.arange(4))  # raises RuntimeError: Only Tensors of floating point
    ```

    ```python
    import torch

    predicted = torch.nn.Linear(3, 2)(torch.randn(8, 3)).argmax(1)
    predicted.requires_grad = True  # raises RuntimeError: only Tensors of floating point
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 2).to(torch.int8)  # raises TypeError: nn.Module.to only accepts floating point
    ```

    ## Use instead
    Numbers with a decimal point, or a dtype. For a loss, the scores instead of the index of the highest.

    ```python
    import torch

    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = torch.arange(3, dtype=torch.float32, requires_grad=True)
    fixed = torch.nn.Parameter(torch.arange(3), requires_grad=False)
    assert w.requires_grad and v.requires_grad and not fixed.requires_grad
    ```

    ## When it is silent
    Where the dtype or the flag is not known.

    ## Fix safety
    Suggested: `dtype=torch.float32` for a tensor that is made right there. None for results of operations.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.requires_grad.html
    """

    code, name, severity = "GRD304", "integer-requires-grad", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("created", "requires-grad-set", "parameter"):
            tensor = event.value
            if event.flag is True and not event.caught and isinstance(tensor, Tensor):
                dtype = event.info.get("dtype", tensor.dtype)
                if dtype in ("int", "bool"):
                    yield self.report(facts, event, tensor, dtype)
        for event in facts.of("data-set"):
            given = event.assigned
            if event.flag is True and isinstance(given, Tensor) and given.dtype in ("int", "bool") and not event.caught:
                kind = "integers" if given.dtype == "int" else "booleans"
                message = (
                    f"{shown(facts, event.at)} gets {kind}, and this raises, for it requires grad: give it "
                    "floating-point numbers, with `.float()`"
                )
                yield self.finding(place(event.at), message)
        for event in facts.of("module-dtype"):
            method = event.at.node.func.attr if isinstance(event.at.node, ast.Call) else ""  # type: ignore[attr-defined]
            if event.dtype in ("int", "bool") and not event.caught and (event.trained or method == "to"):
                message = f"{shown(facts, event.at)} raises: the parameters of a module are floating-point numbers"
                yield self.finding(place(event.at), message)

    def report(self, facts: Facts, event: Event, tensor: Tensor, dtype: str) -> Finding:
        kind = "integers" if dtype == "int" else "booleans"
        named = tensor.name and event.kind != "created"
        what = f"`{tensor.name}` holds {kind}, which" if named else f"a tensor of {kind}"
        made = tensor.node.at
        message = f"{shown(facts, event.at)} raises: {what} cannot require grad"
        if event.kind == "created" or tensor.node.cut is None:
            message += ". Use floating-point numbers, or give a floating dtype"
            story = []
        else:
            assert made is not None
            message += f"; the gradient was lost in {shown(facts, made)}"
            story = [Step(place(made), "this gives values without a gradient")]
        where = (
            event.at if isinstance(event.at.node, ast.Call) else event.at._replace(node=statement_of(facts, event.at))
        )
        return self.finding(Place(where.source, where.node), message, story, _fixes(facts, event))


_WITH_DTYPE = ("tensor", "arange", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "empty", "range")


def _fixes(facts: Facts, event: Event) -> list[Fix]:
    """A floating dtype for a tensor that is made of whole numbers right there, and for the others, which raise, too."""
    own = _typed(facts, event)
    if own is None:
        return []
    others = _others(facts)
    builders = others if own[0] in others else _in_order(facts, {**others, own[0]: own[1]})
    return [Fix("Give it a floating dtype", Safety.SUGGESTED, edits.together(*builders.values()))]


def _others(facts: Facts) -> dict[ast.Call, edits.Edits]:
    """What makes tensors that raise, and the edits that give them a dtype, in the order of the text."""
    known: dict[ast.Call, edits.Edits] | None = facts.memo.get("integers to differentiate")
    if known is None:
        raising = (
            _typed(facts, event)
            for event in facts.of("created")
            if event.flag is True
            and not event.caught
            and isinstance(event.value, Tensor)
            and event.value.dtype in ("int", "bool")
        )
        known = facts.memo["integers to differentiate"] = _in_order(facts, dict(filter(None, raising)))
    return known


def _in_order(facts: Facts, builders: dict[ast.Call, edits.Edits]) -> dict[ast.Call, edits.Edits]:
    return {call: builders[call] for call in sorted(builders, key=lambda call: facts.source_of(call).span(call))}


def _typed(facts: Facts, event: Event) -> tuple[ast.Call, edits.Edits] | None:
    """The call that makes the tensor, and the edit that gives it a dtype."""
    call = event.at.node
    made = event.value.node.at if isinstance(event.value, Tensor) else None
    if event.kind == "parameter" and isinstance(call, ast.Call) and len(call.args) == 1:
        data = call.args[0]
        if isinstance(data, ast.Call) and _name(data) in _WITH_DTYPE:
            call = data
    elif event.kind != "created" and made is not None and made.node is not call:
        return None
    if not isinstance(call, ast.Call) or _name(call) not in _WITH_DTYPE:
        return None
    return call, edits.set_keyword(Place(event.at.source, call), "dtype", f"{facts.torch_name}.float32")


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""
