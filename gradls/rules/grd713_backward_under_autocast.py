"""GRD713."""

from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class BackwardUnderAutocast(Rule):
    """A backward that runs inside of an autocast block.

    ## What it finds
    `backward()` in a `with torch.autocast(...)` block, or in a function that is called there.

    ## Why it matters
    Backward needs no autocast: each operation is differentiated in the type in which it was computed. What runs in
    backward besides, such as a hook or the backward of a custom Function, is computed in low precision then, though
    nothing says so where it stands.

    ## What PyTorch does
    Nothing; its documentation advises against it.

    ## Example
    ```python
    import torch

    weight = torch.ones(3, 3, requires_grad=True)
    seen = []
    weight.register_hook(lambda gradient: seen.append((gradient @ gradient).dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = (torch.ones(2, 3) @ weight).sum()
        loss.backward()
    assert seen == [torch.bfloat16]
    ```

    ## Use instead
    The forward and the loss in the block, `backward()` behind it.

    ```python
    import torch

    weight = torch.ones(3, 3, requires_grad=True)
    seen = []
    weight.register_hook(lambda gradient: seen.append((gradient @ gradient).dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = (torch.ones(2, 3) @ weight).sum()
    loss.backward()
    assert seen == [torch.float32]
    ```

    ## When it is silent
    Where autocast is switched off, or perhaps is.

    ```python
    import torch

    weight = torch.ones(3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
        (torch.ones(2, 3) @ weight).sum().backward()
    assert weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/amp.html#autocasting
    """

    code, name, severity = "GRD713", "backward-under-autocast", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("backward"):
            if event.info.get("autocast"):
                message = (
                    f"{code(facts, event.at.node)} runs under autocast: hooks and hand-written backwards compute in "
                    "low precision then; end the block before it"
                )
                yield self.finding(place(event.at), message)
