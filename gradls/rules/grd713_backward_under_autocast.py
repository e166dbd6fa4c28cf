"""GRD713."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
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
    Suggested: a statement that is the last one of its block moves behind it.

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
                yield self.finding(place(event.at), message, (), _behind_the_block(facts, event))


def _behind_the_block(facts: Facts, event: Event) -> list[Fix]:
    """The fix that moves the statement out of the block, if it is the last one there."""
    source, statement = event.at.source, facts.statement(event.at.node)
    block = source.parent(statement) if statement is not None else None
    if source is not facts.source or not isinstance(block, ast.With) or block.body[-1] is not statement:
        return []
    if len(block.items) != 1 or len(block.body) < 2 or "autocast" not in source.segment(block.items[0].context_expr):
        return []
    title = "Move it out of the block"
    build = edits.move_statement_out_of_with(Place(source, statement), Place(source, block))
    return [Fix(title, Safety.SUGGESTED, build)]
