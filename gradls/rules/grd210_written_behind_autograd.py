"""GRD210."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import kept, maker, shown, statement_of
from gradls.rules.words import code, place


class WrittenBehindAutograd(Rule):
    """A tensor that backward still needs is overwritten without autograd noticing.

    ## What it finds
    A write through `.data`, or into the NumPy array of a detached tensor, to memory that an earlier operation keeps for
    backward, where that backward comes later.

    ## Why it matters
    Autograd counts the in-place writes to a tensor and refuses a backward that would need a value from before. Writes
    through `.data` and through NumPy are not counted: backward takes the new values for the old ones, and the gradients
    are wrong.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    loss = y.pow(2).sum()
    y.data.mul_(10)
    loss.backward()
    assert x.grad.tolist() == [80, 80, 80]  # it should be 8
    ```

    ```python
    import torch

    x = torch.zeros(3, requires_grad=True)
    y = x.exp()
    y.detach().numpy()[0] = 0
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1]
    ```

    ## Use instead
    A new tensor, or the write after the backward. With `detach()` in the place of `.data` the write is counted, and the
    backward raises where it would be wrong.

    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    loss = y.pow(2).sum()
    larger = y.detach() * 10
    loss.backward()
    y.data.mul_(10)
    assert x.grad.tolist() == [8, 8, 8]
    ```

    ## When it is silent
    For writes before the forward and after the backward, as in an update by hand, and where nothing is kept.

    ```python
    import torch

    w = torch.ones(3, requires_grad=True)
    for _ in range(2):
        (w * torch.ones(3)).pow(2).sum().backward()
        w.data -= 0.1 * w.grad
        w.grad = None
    assert w.requires_grad
    ```

    ## Fix safety
    There is none: what the gradient is meant to be of is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks
    """

    code, name, severity = "GRD210", "written-behind-autograd", Severity.WARNING

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("hidden-write"):
            yield self.report(facts, event)

    def report(self, facts: Facts, event: Event) -> Finding:
        write, node = event.write, event.node
        assert node is not None
        what = kept(event.saved)
        needed = f"the result of {maker(facts, node)}" if what == "its result" else what
        by = "which backward needs" if what == "its result" else f"which {maker(facts, node)} keeps for backward"
        message = (
            f"{shown(facts, write.at)} overwrites {needed}, {by}, and autograd does not notice: "
            f"{code(facts, event.at.node)} computes wrong gradients"
        )
        story = [Step(place(node.at), f"this keeps {what} for backward")] if node.at is not None else []
        story.append(Step(place(event.at), "this backward takes the new values for the old ones"))
        return self.finding(Place(write.at.source, statement_of(facts, write.at)), message, story)
