"""GRD113."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code, place


class StateDictInLoss(LostGradientRule):
    """A loss, or a term of it, computed from `state_dict()`.

    ## What it finds
    The tensors of `model.state_dict()` between the parameters and a loss: a penalty over them, or
    `torch.func.functional_call(model, model.state_dict(), x)`.

    ## Why it matters
    `state_dict()` gives detached tensors. What is computed from them is a constant for autograd.

    ## What PyTorch does
    A penalty of them adds to the value of the loss and to no gradient. If nothing else has one, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = torch.func.functional_call(model, model.state_dict(), (torch.randn(8, 3),)).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    penalty = sum(tensor.pow(2).sum() for tensor in model.state_dict().values())
    assert not penalty.requires_grad
    loss = model(torch.randn(8, 3)).pow(2).mean() + 0.1 * penalty
    loss.backward()
    ```

    ## Use instead
    `parameters()` or `named_parameters()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    penalty = sum(parameter.pow(2).sum() for parameter in model.parameters())
    assert penalty.requires_grad
    loss = model(torch.randn(8, 3)).pow(2).mean() + 0.1 * penalty
    loss.backward()
    ```

    ## When it is silent
    Where a state dictionary is saved, loaded or compared.

    ## Fix safety
    There is no automatic fix: names and buffers differ between the two.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.state_dict
    """

    code, name, severity = "GRD113", "state-dict-in-loss", Severity.ERROR
    whole_file = True
    kinds = ("state_dict",)
    does = "gives detached tensors"

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = list(super().check(facts))
        yield from found
        made = {event.result: event for event in facts.of("state-dict")}
        for event in facts.of("functional-call"):
            source = made.get(event.tensors)
            if source is None or source.value is not event.value or event.recording is not True or event.caught:
                continue
            if any(tensor.requires_grad for tensor in source.parameters):
                told = {finding.place.node for finding in found}
                if source.at.node not in told:
                    yield self.detached(facts, event, source)

    def detached(self, facts: Facts, event: Event, source: Event) -> Finding:
        """A module that is computed with its own state dictionary, where no loss is seen."""
        message = (
            f"{code(facts, event.at.node)} computes the module with detached copies of its own parameters: no gradient "
            "can reach them from here. Give it `dict(module.named_parameters())`"
        )
        story = [Step(place(source.at), "these tensors are detached")]
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)
