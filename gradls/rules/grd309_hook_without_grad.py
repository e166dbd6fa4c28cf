"""GRD309."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.training_order import is_on_the_way
from gradls.rules.words import code, place


class HookWithoutGrad(Rule):
    """A tensor that gets no gradient is asked to keep it or to call a hook.

    ## What it finds
    `retain_grad()` or `register_hook()` on a tensor that does not require grad, and
    `register_post_accumulate_grad_hook()` on one or on a computed tensor.

    ## Why it matters
    No gradient ever arrives there, so there is nothing to keep and nothing to call. Often the tensor was cut off
    before: by `detach()`, under `no_grad`, or as input data that was never told to require grad.

    ## What PyTorch does
    It raises one of

        RuntimeError: can't retain_grad on Tensor that has requires_grad=False

        RuntimeError: cannot register a hook on a tensor that doesn't require gradient

        RuntimeError: post accumulate grad hooks cannot be registered on non-leaf tensors

    ## Example
    ```python
    import torch

    image = torch.rand(1, 3)
    image.retain_grad()  # raises RuntimeError: can't retain_grad on Tensor that has requires_grad=False
    ```

    ```python
    import torch

    layer = torch.nn.Linear(3, 4)
    with torch.no_grad():
        hidden = layer(torch.rand(1, 3))
    hidden.register_hook(print)  # raises RuntimeError: cannot register a hook on a tensor
    ```

    ```python
    import torch

    hidden = torch.nn.Linear(3, 4)(torch.rand(1, 3)).detach()
    hidden.register_hook(print)  # raises RuntimeError: cannot register a hook on a tensor
    ```

    ```python
    import torch

    hidden = torch.nn.Linear(3, 4)(torch.rand(1, 3))
    hidden.register_post_accumulate_grad_hook(print)  # raises RuntimeError: cannot be registered on non-leaf tensors
    ```

    ## Use instead
    `requires_grad_()` on an input, before the forward.

    ```python
    import torch

    image = torch.rand(1, 3).requires_grad_()
    hidden = torch.nn.Linear(3, 4)(image)
    seen = []
    hidden.register_hook(seen.append)
    hidden.sum().backward()
    assert len(seen) == 1 and image.grad is not None
    ```

    ## When it is silent
    Where it is not known whether the tensor requires grad.

    ## Fix safety
    Suggested where `detach()` or `.data` cut the tensor off. None otherwise: where the gradient was lost is for a
    person to mend.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.retain_grad.html
    """

    code, name, severity = "GRD309", "hook-without-grad", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("retain-grad", "hook"):
            if event.caught or not isinstance(event.value, Tensor):
                continue
            if event.info.get("recording") is False and _is_asked_first(event):
                continue
            if event.requires_grad is False and not event.value.fields.get("*escaped"):
                yield self.report(facts, event, event.value, "does not require grad, so no gradient arrives there")
            elif event.info.get("accumulates") and event.leaf is False:
                yield self.report(facts, event, event.value, "is computed, and only leaves accumulate a gradient")

    def report(self, facts: Facts, event: Event, tensor: Tensor, why: str) -> Finding:
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        made = event.node.at if event.node is not None else None
        cut = event.node.cut if event.node is not None else None
        story = []
        if cut is not None:
            story.append(Step(place(cut.at), f"{shown(facts, cut.at)} cuts it off"))
        elif made is not None:
            story.append(Step(place(made), "it is made here"))
        fixes = []
        if cut is not None and cut.kind in ("detach", "data") and why.startswith("does not"):
            fixes = [Fix("Remove the detaching call", Safety.SUGGESTED, edits.remove_call(place(cut.at)))]
        return self.finding(place(event.at), f"{code(facts, event.at.node)} raises: {what} {why}", story, fixes)


def _is_asked_first(event: Event) -> bool:
    """Does something decide whether this is done at all, such as `if self.training:`, when gradients are off anyway?"""
    return event.node is not None and not is_on_the_way(event.path, event.node.path)
