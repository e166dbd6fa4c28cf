"""GRD715."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.operators import is_same_memory, original
from gradls.flow.paths import Path
from gradls.flow.values import Tensor, Unknown
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.loss_arguments import called, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.scopes import assignments_in
from gradls.rules.training_order import rounds_of
from gradls.rules.words import code, place

_DISTANCES = frozenset(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"))
_EVEN = frozenset(("pow", "square", "abs", "norm", "vector_norm"))
"""Operations after which a difference that is zero has no gradient, either."""


class ComparedWithItself(Rule):
    """A tensor is compared with itself, because what was kept of it is no copy.

    ## What it finds
    A loss of the difference between a tensor and itself; the squared difference between a parameter and what was
    remembered of it, if that is the parameter again, its `.data` or its `detach()`; and a comparison of the weights
    after a training step with those from before, if these are the same tensor.

    ## Why it matters
    A name, a list and `.data` are no copies: they share the memory, and a step changes what they hold. The difference
    is zero whatever happens, so the penalty does nothing, and the weights seem not to change.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    anchor = {name: parameter.data for name, parameter in model.named_parameters()}
    with torch.no_grad():
        model.weight.add_(1)
    penalty = sum(((parameter - anchor[name]) ** 2).sum() for name, parameter in model.named_parameters())
    penalty.backward()
    assert penalty == 0 and not model.weight.grad.any()
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 2)
    prediction = model(torch.randn(8, 3))
    wanted = prediction
    wanted[:, 0] = 1.0
    loss = torch.nn.functional.mse_loss(prediction, wanted)
    assert loss == 0
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight
    model(torch.randn(8, 3)).mean().backward()
    optimizer.step()
    assert torch.equal(before, model.weight)
    ```

    ## Use instead
    A copy: `detach().clone()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    anchor = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with torch.no_grad():
        model.weight.add_(1)
    penalty = sum(((parameter - anchor[name]) ** 2).sum() for name, parameter in model.named_parameters())
    penalty.backward()
    assert penalty > 0 and model.weight.grad.any()
    ```

    ## When it is silent
    For the difference between a value and itself without history, which is zero and has a gradient: what
    straight-through estimators are made of; for the square of one that was computed, which has a second derivative, as
    the divergence of a policy from itself that natural gradients need; and where the program says twice the same, as in
    `x != x`, which looks for numbers that are none.

    ```python
    import torch

    scores = torch.randn(4, requires_grad=True)
    rounded = scores.round() + scores - scores.detach()
    one = (scores - scores.detach()).exp()
    (rounded.sum() + one.sum()).backward()
    assert scores.grad.eq(2).all() and not (scores != scores).any()
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    code, name, severity = "GRD715", "compared-with-itself", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        # What is compared with the first of several is itself in the first round only.
        told = {event.at.node for event in facts.of("other-comparison")}
        for event in facts.of("loss", "self-comparison"):
            if event.at.node in told:
                continue
            found = self._of_loss(event) if event.kind == "loss" else self._of_difference(facts, event)
            for finding in found:
                told.add(event.at.node)
                yield finding
        for node, records in facts.called("equal", "allclose"):
            values = records[0][1].values if len(records) == 1 else ()
            receiver = getattr(records[0][0], "receiver", None)
            pair = [value for value in (receiver, *values) if isinstance(value, Tensor)]
            if len(pair) == 2 and is_same_memory(pair[0], pair[1]):
                yield from self._of_weights(facts, Place(facts.source_of(node), node), node, pair[0])

    def _of_loss(self, event: Event) -> Iterator[Finding]:
        given, wanted = prediction(event), target(event)
        if event.spec.name not in _DISTANCES or given is None or wanted is None:
            return
        one, other = given.value, wanted.value
        if not isinstance(one, Tensor) or not isinstance(other, Tensor) or not is_same_memory(one, other):
            return
        whole = original(one)
        # What has no gradient may be compared with itself to see what the loss gives.
        if whole.requires_grad is not False and _is_of_this_round(whole, event.path):
            message = (
                f"both arguments of `{called(event)}` are the same tensor: the loss is 0 whatever it holds, and trains "
                "nothing; if one was to be changed, `detach().clone()` it first"
            )
            yield self.finding(place(event.at), message)

    def _of_difference(self, facts: Facts, event: Event) -> Iterator[Finding]:
        one, other, node = event.value, event.other, event.at.node
        if isinstance(one, Unknown):
            yield from self._of_unknown(facts, event)
        if not isinstance(one, Tensor) or not _is_of_this_round(original(one), event.path):
            return
        if event.name != "sub":
            yield from self._of_weights(facts, place(event.at), node, one)
            return
        if not isinstance(node, ast.BinOp) or facts.segment(node.left) == facts.segment(node.right):
            return
        whole = original(one)
        if any(other.value is whole for other in facts.of("data-set")):
            return
        kept = one if one.node is not whole.node else other
        both = one.requires_grad is not False and other.requires_grad is not False
        # What was computed is squared against itself for its second derivative: the divergence of a policy from itself.
        if whole.requires_grad is not False and (both or (whole.leaf is True and _is_made_even(facts, node))):
            message = (
                f"{code(facts, node)} is zero whatever is trained: both sides are the same memory, so this has no "
                "gradient; keep `detach().clone()` of what is to stay as it was"
            )
            story = [Step(place(kept.node.at), "this is no copy")] if kept.node.at is not None else []
            yield self.finding(place(event.at), message, story)

    def _of_unknown(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """`for w, kept in zip(model.parameters(), kept)` where what is kept was `list(model.parameters())`."""
        node = event.at.node
        if not isinstance(node, ast.BinOp) or not _is_made_even(facts, node) or not _are_zipped(facts, node):
            return
        message = (
            f"if these are parameters of a module, {code(facts, node)} is zero whatever is trained: a list of them is "
            "no copy, and both sides are the same memory; keep `detach().clone()` of each"
        )
        yield self.finding(place(event.at), message, severity=Severity.INFORMATION)

    def _of_weights(self, facts: Facts, at: Place, node: ast.AST, tensor: Tensor) -> Iterator[Finding]:
        """Weights of before and after a step, which are the same."""
        whole, names = original(tensor), _names(node)
        for step in facts.of("step"):
            if whole not in step.parameters or step.at.source is not at.source:
                continue
            line = at.source.line(step.at.node)
            kept = next((one for name in names for one in _assigned(at, name) if at.source.line(one) < line), None)
            if kept is not None and line < at.source.line(node):
                message = (
                    f"{code(facts, node)} compares a tensor with itself: {code(facts, kept)} is no copy, and "
                    f"{code(facts, step.at.node)} changes it, too; keep `clone()` of it"
                )
                yield self.finding(at, message, [Step(Place(at.source, kept), "this is no copy")])
                return


def _is_of_this_round(tensor: Tensor, path: Path | None) -> bool:
    """Was it made where an event happens, or before? An element of a list that a loop made may be another one."""
    known, node = rounds_of(path), tensor.node
    while node.edges and (node.op == "copy_slices" or node.op.endswith("_")):
        node = node.edges[0].node  # what it was before something was written to it
    return all(made in known for made in rounds_of(node.path))


def _is_made_even(facts: Facts, node: ast.AST) -> bool:
    """Is a difference squared, or the like?"""
    above = facts.parent(node)
    if isinstance(above, ast.BinOp):
        return isinstance(above.op, ast.Pow) and above.left is node
    if isinstance(above, ast.Attribute):
        return above.attr in _EVEN
    if isinstance(above, ast.Call) and above.args and above.args[0] is node:
        return getattr(above.func, "attr", getattr(above.func, "id", "")) in _EVEN
    return False


def _are_zipped(facts: Facts, node: ast.BinOp) -> bool:
    """Are both sides variables of one loop over `zip(...)`, which goes through `parameters()` of one thing twice?"""
    names = {side.id for side in (node.left, node.right) if isinstance(side, ast.Name)}
    for around in facts.parents(node):
        if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        loops = getattr(around, "generators", [around] if isinstance(around, ast.For) else [])
        for loop in loops:
            targets = {part.id for part in getattr(loop.target, "elts", ()) if isinstance(part, ast.Name)}
            zipped = isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") == "zip"
            if zipped and len(names) == 2 and names <= targets:
                models = {_model_of(Place(facts.source_of(node), node), part) for part in loop.iter.args}
                return len(models) == 1 and None not in models
    return False


def _model_of(at: Place, value: ast.expr) -> str | None:
    """What `model.parameters()` is called on, or was where a list of it got its name, if no name changed since."""
    if isinstance(value, ast.Name):
        value = next((kept.value for kept in _assigned(at, value.id)), value)
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") in ("list", "tuple") and len(value.args) == 1:
        value = value.args[0]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "parameters":
        model = value.func.value
        if isinstance(model, ast.Name) and not any(_assignments(at, model.id)):
            return model.id
        return at.source.segment(model) if isinstance(model, ast.Attribute) else None
    return None


def _names(node: ast.AST) -> list[str]:
    """The variables that are compared, be it that of their `.data`."""
    operands: list[ast.expr] = []
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
    elif isinstance(node, ast.Call):
        receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        operands = [*receiver, *node.args]
    found = []
    for operand in operands:
        while isinstance(operand, (ast.Attribute, ast.Call)):
            function = operand.func if isinstance(operand, ast.Call) else operand
            if not isinstance(function, ast.Attribute) or function.attr not in ("data", "detach"):
                break
            operand = function.value
        if isinstance(operand, ast.Name):
            found.append(operand.id)
    return found


def _assigned(at: Place, name: str) -> Iterator[ast.Assign]:
    """The only assignment to a name, in the function or module around a place."""
    found = _assignments(at, name)
    if len(found) == 1:
        yield found[0]


def _assignments(at: Place, name: str) -> list[ast.Assign]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    around = next((outer for outer in at.source.parents(at.node) if isinstance(outer, functions)), at.source.tree)
    return assignments_in(at.source, around, name)
