"""GRD307."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Sequence, Tensor
from gradls.rules import edits
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place

CONVERT = frozenset((
    "abs", "absolute", "angle", "arccos", "arcsin", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort",
    "around", "array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray", "atleast_1d", "atleast_2d",
    "atleast_3d", "average", "bincount", "ceil", "clip", "column_stack", "copy", "corrcoef", "cos", "cosh",
    "count_nonzero", "cov", "cumprod", "cumsum", "deg2rad", "diag", "diff", "dot", "dstack", "exp", "exp2",
    "expm1", "flatnonzero", "floor", "gradient", "histogram", "hstack", "isfinite", "isinf", "isnan", "log",
    "log10", "log1p", "log2", "median", "nan_to_num", "nanargmax", "nanargmin", "nanmax", "nanmean", "nanmedian",
    "nanmin", "nanstd", "nansum", "nanvar", "negative", "percentile", "ptp", "rad2deg", "ravel", "reciprocal",
    "rint", "save", "savetxt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "unique", "vstack",
))  # fmt: skip
"""NumPy functions that convert a tensor. Others (`np.mean`, `np.reshape`) call the tensor's own method."""


class NumpyOfTensorWithGrad(Rule):
    """A tensor that requires grad is given to NumPy.

    ## What it finds
    `.numpy()` on a tensor that requires grad, and NumPy functions that are given one, or a list of them.

    ## Why it matters
    NumPy knows nothing of gradients: what it computes would silently be a constant. So PyTorch wants to see that it is
    meant.

    ## What PyTorch does
    It raises

        RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    curve = model(torch.randn(8, 3)).numpy()  # raises RuntimeError: Can't call numpy() on Tensor that requires grad
    ```

    ```python
    import numpy as np
    import torch

    model, losses = torch.nn.Linear(3, 1), []
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        loss.backward()
        losses.append(loss)
    print(np.mean(losses))  # raises RuntimeError: Can't call numpy() on Tensor that requires grad
    ```

    ## Use instead
    `detach()` for an array, `item()` for a number in a log. In a loss, the function of torch.

    ```python
    import numpy as np
    import torch

    model, losses = torch.nn.Linear(3, 1), []
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        loss.backward()
        losses.append(loss.item())
    print(np.mean(losses), model(torch.randn(8, 3)).detach().numpy())
    assert np.isfinite(losses).all()
    ```

    ## When it is silent
    For tensors that do not require grad, for what is converted under `no_grad`, where PyTorch does not mind, and for
    NumPy functions that call the tensor's own method.

    ```python
    import numpy as np
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        array = model(torch.randn(8, 3)).numpy()
        weight = model.weight.numpy()
        bias = np.asarray(model.bias)
    squeezed = np.squeeze(model(torch.randn(8, 3)))
    assert array.shape == (8, 1) and squeezed.requires_grad
    ```

    ## Fix safety
    Safe for `.numpy()`: the array has no gradient either way. Suggested for an argument of a function, and where the
    array becomes a tensor again: the loss of that one has no gradient then.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.numpy.html
    """

    code, name, severity = "GRD307", "numpy-of-tensor-with-grad", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("numpy"):
            raises = event.requires_grad is True and event.recording is not False and not event.caught
            if isinstance(event.value, Tensor) and raises:
                yield self.method(facts, event, event.value)
        for event in facts.of("numpy-function"):
            if event.recording is not False and not event.caught:
                yield from self.function(facts, event)

    def method(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        node = event.at.node
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        message = f"{code(facts, node)} raises: {what} requires grad"
        fixes = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            message += ". Detach it first: `.detach().numpy()`"
            receiver = Place(event.at.source, node.func.value)
            safety = Safety.SUGGESTED if _comes_back(facts, node) else Safety.SAFE
            fixes = [Fix("Detach it first", safety, edits.add_call(receiver, ".detach()"))]
        message, severity = if_recorded(event, message, self.severity)
        return self.finding(place(event.at), message, _origin(tensor, node, facts), fixes, severity)

    def function(self, facts: Facts, event: Event) -> Iterator[Finding]:
        converts = event.function.removeprefix("numpy.") in CONVERT
        for number, argument in enumerate(event.arguments):
            held = argument.elements if isinstance(argument, Sequence) else ()
            tensors = [value for value in held if isinstance(value, Tensor)]
            if isinstance(argument, Tensor) and converts:
                tensors = [argument]
            tensor = next((value for value in tensors if value in event.requiring), None)
            if tensor is None:
                continue
            node = event.at.node
            fixes = []
            if held:
                message = (
                    f"{code(facts, node)} raises: it is given tensors that require grad. Give it their `.detach()`"
                )
            else:
                what = f"`{tensor.name}`" if tensor.name else "the tensor"
                message = f"{code(facts, node)} raises: {what} requires grad. Give it `.detach()`"
                if isinstance(node, ast.Call) and number < len(node.args):
                    given = Place(event.at.source, node.args[number])
                    fixes = [Fix("Detach it first", Safety.SUGGESTED, edits.add_call(given, ".detach()"))]
            message, severity = if_recorded(event, message, self.severity)
            yield self.finding(place(event.at), message, _origin(tensor, node, facts), fixes, severity)
            return


def _comes_back(facts: Facts, node: ast.Call) -> bool:
    """Is a tensor made of the array that this call gives? Detaching then cuts a gradient that may be meant."""
    arrays = {result.data.get("node") for _, _, result in facts.calls.get(node, ()) if isinstance(result, Instance)} - {
        None
    }
    return any(not arrays.isdisjoint(walk(event.node)) for event in facts.of("copied") if arrays and event.node)


def _origin(tensor: Tensor, node: ast.AST, facts: Facts) -> list[Step]:
    at = tensor.node.at
    if at is None or at.node is node:
        return []
    return [Step(place(at), f"{shown(facts, at)} requires grad")]
