"""GRD809."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class RecomputationDiffers(Rule):
    """A checkpointed function that does something else when it is computed again.

    ## What it finds
    A function under `checkpoint(..., use_reentrant=False)` that changes something it depends on (a counter, a list, a
    flag of its module), so that its second computation keeps fewer tensors for backward, or tensors of other shapes.
    And a dropout under `checkpoint(..., preserve_rng_state=False)`.

    ## Why it matters
    A checkpoint keeps nothing of the forward pass, and computes the function again in backward. What that keeps has to
    be what the first computation would have kept.

    ## What PyTorch does
    Backward raises one of

        torch.utils.checkpoint.CheckpointError: torch.utils.checkpoint: A different number of tensors was saved during
        the original forward and recomputation.

        torch.utils.checkpoint.CheckpointError: torch.utils.checkpoint: Recomputed values for the following tensors have
        different metadata than during the forward pass.

    ## Example
    ```python
    import torch
    from torch.utils.checkpoint import checkpoint


    class Warmup(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x.sin().exp() if self.calls == 1 else x * 2


    x = torch.randn(3, requires_grad=True)
    loss = checkpoint(Warmup(), x, use_reentrant=False).sum()
    loss.backward()  # raises CheckpointError: A different number of tensors was saved
    ```

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    x = torch.ones(1000, requires_grad=True)
    y = checkpoint(torch.nn.Dropout(0.5), x, use_reentrant=False, preserve_rng_state=False)
    y.pow(2).sum().backward()
    assert not torch.equal(x.grad != 0, y != 0)
    ```

    ## Use instead
    Decide outside, and give the decision to the function.

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint


    class Warmup(torch.nn.Module):
        def forward(self, x, first):
            return x.sin().exp() if first else x * 2


    x = torch.randn(3, requires_grad=True)
    checkpoint(Warmup(), x, True, use_reentrant=False).sum().backward()
    assert x.grad is not None
    ```

    ## When it is silent
    Where both computations keep the same, as with a counter that nothing depends on, and where it is not known.

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    calls = []


    def block(x):
        calls.append(len(calls))
        return x.sin().exp()


    x = torch.randn(3, requires_grad=True)
    checkpoint(block, x, use_reentrant=False).sum().backward()
    assert len(calls) == 2
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/checkpoint.html
    """

    code, name, severity = "GRD809", "recomputation-differs", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("recomputed"):
            if event.why == "draws":
                yield self._report_draws(facts, event)
            elif not event.caught:
                yield self._report(facts, event)

    def _report(self, facts: Facts, event: Event) -> Finding:
        kept = "fewer tensors for backward" if event.why == "fewer" else "tensors of other shapes for backward"
        message = (
            f"{code(facts, event.at.node)} computes its function again in backward, which then keeps {kept}, and "
            "backward raises: the function changes something that it depends on. Decide that outside of it"
        )
        story = []
        if event.node is not None and event.node.at is not None:
            story.append(Step(place(event.node.at), "the second time it computes this"))
        return self.finding(place(event.at), message, story)

    def _report_draws(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} computes its function again in backward, with other random numbers: its "
            "dropout drops other values then, and the gradients are not those of the loss. Leave "
            "`preserve_rng_state=False` away"
        )
        story = []
        if event.node is not None and event.node.at is not None:
            story.append(Step(place(event.node.at), "this drops something else the second time"))
        return self.finding(place(event.at), message, story, severity=Severity.WARNING)
