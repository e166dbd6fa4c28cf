"""GRD312."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Host, Sequence, Tensor, Value, is_none
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class WrongArgumentsOfBackward(Rule):
    """backward() or grad() is called with arguments that they do not take.

    ## What it finds
    A Python number as `gradient=`, a gradient of another shape than the tensor (with `is_grads_batched=True`: not one
    row like the tensor for each), a wrong number of gradients, an empty `inputs=`, and `materialize_grads=True` with
    `allow_unused=False`. As information: `create_graph=True` in `backward()`, and the old names `grad_variables=` and
    `only_inputs=`.

    ## Why it matters
    The first positional argument of `backward()` is the gradient of the result, not `retain_graph`. It has the shape of
    the result: one weight for each element. `backward(create_graph=True)` makes each parameter and its gradient hold
    each other in memory.

    ## What PyTorch does
    It raises one of

        TypeError: 'float' object is not iterable

        RuntimeError: Mismatch in shape: grad_output[0] has a shape of torch.Size([2]) and output[0] has a shape of
        torch.Size([3]).

        RuntimeError: If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch
        dimension.

        RuntimeError: got 2 tensors and 1 gradients

        RuntimeError: `inputs` argument to `backward()` cannot be empty.

        ValueError: Expected allow_unused to be True or not passed when materialize_grads=True

    ## Example
    ```python
    import torch

    y = torch.ones(3, requires_grad=True) * 2
    y.backward(1.0)  # raises TypeError: 'float' object is not iterable
    ```

    ```python
    import torch

    y = torch.ones(3, requires_grad=True) * 2
    y.backward(gradient=torch.ones(2))  # raises RuntimeError: Mismatch in shape
    ```

    ```python
    import torch

    y = torch.ones(3, requires_grad=True).pow(2).sum()
    y.backward(True)  # raises TypeError: 'bool' object is not iterable
    ```

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    x.pow(2).sum().backward(create_graph=True)  # warns UserWarning: will create a reference cycle
    ```

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    torch.autograd.grad(y, x, torch.ones(3), is_grads_batched=True)  # raises RuntimeError: If `is_grads_batched=True`
    ```

    ## Use instead
    A tensor like the result, or nothing for a scalar; `torch.autograd.grad` for gradients of gradients.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.backward(torch.ones_like(y))
    loss = x.pow(2).sum()
    loss.backward(retain_graph=True)
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    assert gradient.requires_grad
    ```

    ## When it is silent
    Where shapes are not known.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    (jacobian,) = torch.autograd.grad(x * 2, x, torch.eye(3), is_grads_batched=True)
    assert jacobian.shape == (3, 3)
    ```

    ## Fix safety
    There is none: what was meant is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD312", "wrong-arguments-of-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("backward", "grad-call"):
            if event.caught or "call" not in event.info or event.call.unsure:
                continue
            certain = self.wrong(facts, event)
            if certain:
                yield self.finding(place(event.at), f"{code(facts, event.at.node)} raises: {certain}")
                continue
            other = _unwise(event)
            if other:
                message = f"{code(facts, event.at.node)}: {other}"
                yield self.finding(place(event.at), message, severity=Severity.INFORMATION)

    def wrong(self, facts: Facts, event: Event) -> str:
        """Why it raises; empty if it does not."""
        call = event.call
        # What is no tensor may have a `backward` with other arguments.
        given = call.kwargs if event.node is not None or event.kind == "grad-call" else ()
        unknown = next((name for name in given if name not in _keywords(event)), "")
        if unknown:
            old = {"retain_variables": "retain_graph", "grad_variables": "gradient"}.get(unknown)
            return f"it has no argument `{unknown}`" + (f"; write `{old}`" if old else "")
        inputs = call.kwargs.get("inputs") if event.kind == "backward" else None
        if isinstance(inputs, Sequence) and not inputs.elements:
            return "`inputs` is empty"
        if call.known(-1, "materialize_grads") is True and call.known(-1, "allow_unused") is False:
            return "`materialize_grads=True` needs `allow_unused=True`"
        roots, gradients = _roots(event), _gradients(event)
        if isinstance(gradients, Host) and gradients.kind in ("int", "float", "bool", "number"):
            retains = gradients.kind == "bool"
            if not retains and event.node is None and event.kind == "backward":
                return ""  # What has this method may be a layer that is written by hand, or a trainer.
            hint = "write `retain_graph=True`" if retains else "give a tensor like the result"
            return f"its first argument is the gradient of the result, a tensor, not a {gradients.kind}; {hint}"
        counted = isinstance(gradients, Sequence) and gradients.rest is None
        known = all(isinstance(root, Tensor) for root in roots)
        if isinstance(gradients, Sequence) and counted and known and len(gradients.items) < len(roots):
            return f"{len(roots)} tensors need {len(roots)} gradients, and it is given {len(gradients.items)}"
        given = gradients.items if isinstance(gradients, Sequence) else (gradients,)
        batched = call.known(-1, "is_grads_batched", default=False)
        for root, gradient in zip(roots, given, strict=False):
            if not isinstance(root, Tensor) or not isinstance(gradient, Tensor):
                continue
            if batched is True and _rows_differ(root, gradient):
                shape, wanted = list(gradient.shape or ()), ", ".join(map(str, ("n", *(root.shape or ()))))
                return f"`is_grads_batched=True` takes a gradient of the shape [{wanted}], this one has {shape}"
            if batched is False and _differ(root, gradient):
                return f"the gradient has the shape {list(gradient.shape or ())}, its tensor {list(root.shape or ())}"
        return ""


def _keywords(event: Event) -> tuple[str, ...]:
    """The arguments that may be given by name."""
    if event.kind == "grad-call":
        return _OF_GRAD
    if event.method:
        return ("gradient", "retain_graph", "create_graph", "inputs")
    return ("tensors", "grad_tensors", "retain_graph", "create_graph", "grad_variables", "inputs")


_OF_GRAD = (
    "outputs", "inputs", "grad_outputs", "retain_graph", "create_graph", "only_inputs", "allow_unused",
    "is_grads_batched", "materialize_grads",
)  # fmt: skip


def _roots(event: Event) -> list[Value]:
    return event.roots if event.kind == "grad-call" else event.all_roots


def _gradients(event: Event) -> Value | None:
    if event.kind == "grad-call":
        return event.call.get(2, "grad_outputs")
    given = event.call.get(0, "gradient") if event.method else event.call.get(1, "grad_tensors", "grad_variables")
    return None if given is None or is_none(given) else given


def _differ(one: Tensor, other: Tensor) -> bool:
    if one.shape is None or other.shape is None or None in (*one.shape, *other.shape):
        return False
    return one.shape != other.shape


def _rows_differ(root: Tensor, batch: Tensor) -> bool:
    """Is no row of `batch` like `root`?"""
    if root.shape is None or batch.shape is None or None in (*root.shape, *batch.shape):
        return False
    return not batch.shape or batch.shape[1:] != root.shape


def _unwise(event: Event) -> str:
    if "grad_variables" in event.call.kwargs:
        return "`grad_variables` is an old name; write `grad_tensors`"
    if event.call.known(-1, "only_inputs") is False:
        return "`only_inputs` has no effect any more; use `torch.autograd.backward` to fill other gradients"
    if event.kind == "backward" and event.create is True:
        return (
            "`create_graph=True` lets parameters and their gradients hold each other, which fills the memory. "
            "Use `torch.autograd.grad`, or set `.grad` to None afterwards"
        )
    return ""
