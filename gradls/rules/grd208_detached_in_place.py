"""GRD208."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import kept, maker, new_tensor_instead, shown
from gradls.rules.words import code, place


class DetachedInPlace(Rule):
    """detach_() where PyTorch does not allow it.

    ## What it finds
    `detach_()` on a view, and `detach_()` on a tensor that an earlier operation keeps for a backward still to come.

    ## Why it matters
    `detach_()` changes the tensor itself, for all who hold it. A view shares its history with the whole, and an
    operation that has kept the tensor needs the history for its gradient.

    ## What PyTorch does
    On a view it raises

        RuntimeError: Can't detach views in-place. Use detach() instead.

    On a tensor that is kept, the backward raises

        RuntimeError: Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().

    ## Example
    ```python
    import torch

    state = torch.nn.Linear(3, 4)(torch.randn(8, 3))
    state[0].detach_()  # raises RuntimeError: Can't detach views in-place
    ```

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    state = x * 2
    loss = state.pow(2).sum()
    state.detach_()
    loss.backward()  # raises RuntimeError: Trying to use a saved tensor that has been detached in-place
    ```

    ## Use instead
    `detach()`, which makes a new tensor.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    state = x * 2
    loss = state.pow(2).sum()
    state = state.detach()
    first = state[0].detach()
    loss.backward()
    assert x.grad is not None and not first.requires_grad
    ```

    ## When it is silent
    For a whole tensor that no operation keeps, or after the backward.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    state = x * 2
    state.pow(2).sum().backward()
    state.detach_()
    assert not state.requires_grad
    ```

    ## Fix safety
    Suggested, where the call is a statement of its own: the name is bound to the detached tensor, and other names of it
    keep their history.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach_.html
    """

    code, name, severity = "GRD208", "detached-in-place", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("detach-in-place"):
            if event.view and not event.caught and isinstance(event.value, Tensor):
                what = f"`{event.value.name}`" if event.value.name else "the tensor"
                message = f"{code(facts, event.at.node)} raises: {what} is a view of another tensor. Use `detach()`"
                made = event.node.at if event.node is not None else None
                story = [Step(place(made), "it is a view since here")] if made is not None else []
                yield self.finding(
                    place(event.at), message, story, new_tensor_instead(facts, place(event.at), Safety.SUGGESTED)
                )
        for event in facts.of("detached-saved"):
            if not event.caught:
                yield self.saved(facts, event)

    def saved(self, facts: Facts, event: Event) -> Finding:
        node = event.node
        assert node is not None
        message = (
            f"{shown(facts, event.by)} detaches {kept(event.saved)} in place, which {maker(facts, node)} keeps for "
            f"backward: {code(facts, event.at.node)} raises. Use `detach()`"
        )
        story = [Step(place(node.at), "this keeps it for backward")] if node.at is not None else []
        story.append(Step(place(event.at), "this backward needs its history"))
        return self.finding(
            place(event.by), message, story, new_tensor_instead(facts, place(event.by), Safety.SUGGESTED)
        )
