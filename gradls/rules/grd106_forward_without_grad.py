"""GRD106."""

import ast
from collections.abc import Iterable, Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code


class ForwardWithoutGrad(LostGradientRule):
    """A loss, or a part of the model that trains, computed with gradients switched off.

    ## What it finds
    A computation under `torch.no_grad()`, `torch.inference_mode()` or `torch.set_grad_enabled(False)`, as a block, a
    decorator or a statement that stays in force, on which `backward()` is called later. As information, the same
    between a part of a module and what its `forward` returns, in a file that does not train it.

    ## Why it matters
    With grad mode off PyTorch records nothing. The result is a constant: a loss made of it has no graph, and
    parameters that are used only there never train.

    ## What PyTorch does
    If nothing of the loss was recorded, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    If another part was, nothing is said.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)


    @torch.no_grad()
    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad


    step(torch.randn(8, 3))
    ```

    ```python
    import torch

    encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    with torch.no_grad():
        features = encoder(torch.randn(8, 3))
    head(features).pow(2).mean().backward()
    optimizer.step()
    assert encoder.weight.grad is None
    ```

    ## Use instead
    The forward pass outside of the block.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)


    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()


    step(torch.randn(8, 3))
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For evaluation, targets, moving averages and frozen parts: whatever no optimizer is meant to train, or what another
    backward trains. Calling `backward()` inside of a block is fine if the graph was made outside.

    ```python
    import torch

    backbone, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with torch.no_grad():
        features = backbone(torch.randn(8, 3))
    loss = head(features).pow(2).mean()
    with torch.no_grad():
        loss.backward()
    optimizer.step()
    assert head.weight.grad is not None
    ```

    ## Fix safety
    Suggested: the block may be meant for something else in it.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
    - https://docs.pytorch.org/docs/stable/notes/autograd.html
    """

    code, name, severity = "GRD106", "forward-without-grad", Severity.ERROR
    whole_file = True
    kinds = ("no_grad",)
    does = "switches gradients off while this is computed"

    def check(self, facts: Facts) -> Iterable[Finding]:
        # A generator that leaves its mode to its consumer is another rule's.
        left = {event.leak.at for event in facts.of("generator-leak") if event.leak.uses}
        for lost in self.losses(facts):
            if lost.cut.cut is not None and lost.cut.cut.at not in left:
                yield self.report(facts, lost)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        cut, at = lost.cut.cut, lost.cut.at
        assert cut is not None
        block = facts.statement(cut.at.node)
        statement = facts.statement(at.node) if at is not None else None
        if isinstance(block, ast.With) and len(block.items) == 1 and statement in (block.body[0], block.body[-1]):
            assert statement is not None
            build = edits.move_statement_out_of_with(
                Place(facts.source_of(statement), statement), Place(facts.source_of(block), block)
            )
            return [Fix(f"Move it out of {code(facts, block.items[0].context_expr)}", Safety.SUGGESTED, build)]
        return []
