"""GRD116."""

import ast
from collections.abc import Iterator, Sequence

from gradls.flow.facts import Facts
from gradls.flow.graph import At
from gradls.flow.lost import Lost
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code, place


class CheckpointWithoutGradient(LostGradientRule):
    """A checkpointed part of a model that gets no gradient, because its inputs have none.

    ## What it finds
    `checkpoint(function, x, use_reentrant=True)` where no tensor among the inputs requires grad, such as the first
    stage of a model, whose input is data. And a backward through one of which an input does, but not the result.

    ## Why it matters
    The reentrant variant is recorded like an operation on its inputs. If none of them requires grad, nothing is
    recorded at all: the parameters inside never train.

    ## What PyTorch does
    It warns once, and goes on:

        UserWarning: None of the inputs have requires_grad=True. Gradients will be None

    Where an input requires grad, the result does, too; if the function cuts the gradient, backward raises
    `RuntimeError: none of output has requires_grad=True, this checkpoint() is not necessary`.

    ## Example
    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    stage, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*stage.parameters(), *head.parameters()], lr=0.1)
    loss = head(checkpoint(stage, torch.randn(8, 3), use_reentrant=True)).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert stage.weight.grad is None
    ```

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    x = torch.ones(3, requires_grad=True)
    signs = checkpoint(lambda x: x.detach().sign(), x, use_reentrant=True)
    (signs + x).sum().backward()  # raises RuntimeError: none of output has requires_grad=True
    ```

    ## Use instead
    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    stage, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*stage.parameters(), *head.parameters()], lr=0.1)
    loss = head(checkpoint(stage, torch.randn(8, 3), use_reentrant=False)).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert stage.weight.grad is not None
    ```

    ## When it is silent
    With `use_reentrant=False`, and where an input requires grad.

    ## Fix safety
    Safe: the other variant computes the same and records the parameters too. Suggested where nothing says that these
    are to be trained.

    ## References
    - https://docs.pytorch.org/docs/stable/checkpoint.html
    """

    code, name, severity = "GRD116", "checkpoint-without-gradient", Severity.ERROR
    whole_file = True
    kinds = ("checkpoint", "barren-checkpoint")
    does = "records nothing, since no argument is a tensor that requires grad"

    def check(self, facts: Facts) -> Iterator[Finding]:
        told = set()
        for finding in super().check(facts):
            told.add(finding.place.node)
            yield finding
        for event in facts.of("checkpoint"):
            if event.loses and event.at.node not in told and not event.caught:
                message = (
                    f"{code(facts, event.at.node)} {self.does}: a backward through its result reaches nothing inside; "
                    "set `use_reentrant=False`"
                )
                yield self.finding(place(event.at), message, (), _fixes(event.at), Severity.INFORMATION)

        for event in facts.of("barren-checkpoint"):
            if not event.caught and event.node is not None and event.node.at is not None:
                message = (
                    f"{code(facts, event.at.node)} raises: it goes through a reentrant checkpoint of which the result "
                    "does not require grad when it is computed once more. Call the function without a checkpoint"
                )
                yield self.finding(place(event.at), message, [Step(place(event.node.at), "the checkpoint")])

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        return _fixes(lost.cut.cut.at)


def _fixes(at: At) -> list[Fix]:
    if not isinstance(at.node, ast.Call):
        return []
    return [Fix("Set `use_reentrant=False`", Safety.SAFE, edits.set_keyword(place(at), "use_reentrant", "False"))]
