"""GRD313."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Host, Sequence, Tensor, Value, is_none
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown, statement_of
from gradls.rules.words import place

READ_ONLY = ("is_leaf", "grad_fn", "shape", "dtype", "device", "ndim", "layout", "is_cuda", "retains_grad", "_version")


class UnfitGradientAssigned(Rule):
    """Something is assigned to a tensor's attribute that does not take it.

    ## What it finds
    A number or a list assigned to `.grad`, a tensor of another shape or kind than the tensor has, and assignments to
    attributes that cannot be written, such as `is_leaf` or `grad_fn`.

    ## Why it matters
    A gradient has one number for each element of its tensor. Whether a tensor is a leaf, and what computed it, is
    history, which cannot be assigned.

    ## What PyTorch does
    It raises one of

        TypeError: assigned grad expected to be a Tensor or None but got grad of type int

        RuntimeError: attempting to assign a gradient of size '[3]' to a tensor of size '[2]'.

        AttributeError: attribute 'is_leaf' of 'torch._C.TensorBase' objects is not writable

    ## Example
    ```python
    import torch

    w = torch.zeros(2, requires_grad=True)
    w.grad = 0  # raises TypeError: assigned grad expected to be a Tensor or None
    ```

    ```python
    import torch

    w = torch.zeros(2, requires_grad=True)
    w.grad = torch.zeros(3)  # raises RuntimeError: attempting to assign a gradient of size '[3]'
    ```

    ```python
    import torch

    y = torch.ones(2, requires_grad=True) * 2
    y.is_leaf = True  # raises AttributeError: attribute 'is_leaf'
    ```

    ## Use instead
    None to clear it, a tensor like the tensor to set it, and `detach()` for a leaf with the same values.

    ```python
    import torch

    w = torch.zeros(2, requires_grad=True)
    w.grad = None
    w.grad = torch.zeros_like(w)
    leaf = (w * 2).detach().requires_grad_()
    assert leaf.is_leaf
    ```

    ## When it is silent
    Where shapes are not known.

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.grad.html
    """

    code, name, severity = "GRD313", "unfit-gradient-assigned", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("grad-set", "tensor-attribute"):
            tensor = event.value
            if event.caught or not isinstance(tensor, Tensor):
                continue
            if event.kind == "tensor-attribute":
                why = f"`{event.name}` cannot be assigned" if event.name in READ_ONLY else ""
            else:
                why = _unfit(tensor, event.assigned)
            if why:
                yield self.report(facts, event, tensor, why)

    def report(self, facts: Facts, event: Event, tensor: Tensor, why: str) -> Finding:
        where = Place(event.at.source, statement_of(facts, event.at))
        made = tensor.node.at
        story = [Step(place(made), "the tensor is made here")] if made is not None else []
        return self.finding(where, f"{shown(facts, event.at)} raises: {why}", story)


def _unfit(tensor: Tensor, assigned: Value) -> str:
    """Why a value cannot be a gradient of `tensor`; empty if it may be one."""
    if isinstance(assigned, Sequence) or (isinstance(assigned, Host) and not is_none(assigned)):
        return "a gradient is a tensor or None"
    if not isinstance(assigned, Tensor):
        return ""
    if assigned.dtype in ("int", "bool") and tensor.dtype == "float":
        return "the gradient holds no floating-point numbers"
    one, other = tensor.shape, assigned.shape
    if one is not None and other is not None and None not in (*one, *other) and one != other:
        return f"the gradient has the shape {list(other)}, the tensor {list(one)}"
    return ""
