"""GRD209."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.conditions import if_recorded
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

WORDS = {
    "out-argument": "`out=` is no way to compute with gradients. Use the result instead",
    "host-apply": "a Python function for each element has no gradient. Detach it first, or use operations of torch",
    "resize": "a tensor that requires grad cannot be resized. Use `reshape`, or a new tensor",
    "dlpack": "a tensor that requires grad cannot be exported. Detach it first",
}


class NotRecordedByAutograd(Rule):
    """A tensor that requires grad goes into something that autograd cannot record.

    ## What it finds
    `out=` with an argument or a target that requires grad, `apply_`, `map_`, `resize_` and `resize_as_` on a tensor
    that requires grad, and its export by DLPack.

    ## Why it matters
    These write or read memory behind autograd's back. The gradient would be wrong, so PyTorch refuses.

    ## What PyTorch does
    It raises, for example

        RuntimeError: add(): functions with out=... arguments don't support automatic differentiation, but one of the
        arguments requires grad.

        RuntimeError: cannot resize variables that require grad

        RuntimeError: Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead.

    ## Example
    ```python
    import torch

    w, result = torch.ones(3, requires_grad=True), torch.empty(3)
    torch.mul(w, 2, out=result)  # raises RuntimeError: functions with out=... arguments don't support automatic
    ```

    ```python
    import torch

    w = torch.ones(4, requires_grad=True)
    w.resize_(2, 2)  # raises RuntimeError: cannot resize variables that require grad
    ```

    ```python
    import torch

    w = torch.ones(4, requires_grad=True) * 2
    w.apply_(lambda value: value + 1)  # raises RuntimeError: Can't call apply_() on Variable that requires grad
    ```

    ## Use instead
    The result of the function, `reshape`, and operations of torch.

    ```python
    import torch

    w = torch.ones(4, requires_grad=True)
    result = torch.mul(w, 2).reshape(2, 2) + 1
    assert result.requires_grad
    ```

    ## When it is silent
    Under `no_grad` for `out=`, and for tensors without a gradient.

    ```python
    import torch

    w, result = torch.ones(3, requires_grad=True), torch.empty(3)
    with torch.no_grad():
        torch.mul(w, 2, out=result)
    result.apply_(lambda value: value + 1)
    result.resize_(2)
    assert result.tolist() == [3, 3]
    ```

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html
    """

    code, name, severity = "GRD209", "not-recorded-by-autograd", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of(*WORDS):
            matters = event.kind == "out-argument" or event.requires_grad is True
            if matters and not event.caught and isinstance(event.value, Tensor):
                yield self.report(facts, event, event.value)

    def report(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        message = f"{code(facts, event.at.node)} raises: {WORDS[event.kind]}"
        made = event.node.at if event.node is not None else None
        story = [Step(place(made), "this is the tensor")] if made is not None and made != event.at else []
        message, severity = if_recorded(event, message, self.severity)
        return self.finding(place(event.at), message, story, severity=severity)
