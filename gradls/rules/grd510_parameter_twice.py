"""GRD510."""

from collections import Counter
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Sequence, Tensor, Value
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import owners, place


class ParameterTwice(Rule):
    """A parameter that is given to one optimizer twice.

    ## What it finds
    An optimizer with a parameter in two of its groups, or twice in one list: a module's parameters together with those
    of a part of it.

    ## Why it matters
    In two groups it raises. In one list the parameter takes each step twice.

    ## What PyTorch does
    It raises

        ValueError: some parameters appear in more than one parameter group

    or warns

        UserWarning: optimizer contains a parameter group with duplicate parameters

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    groups = [{"params": model.parameters()}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1)  # raises ValueError: some parameters appear in more than one
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    parameters = [*model.parameters(), *model[1].parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)  # warns UserWarning: optimizer contains a parameter group
    ```

    ## Use instead
    Each parameter once.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    assert len(optimizer.param_groups) == 2
    ```

    ## When it is silent
    Where it is not certain which parameters are meant; and for a parameter that a model has twice, which
    `parameters()` lists once.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 3
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
    """

    code, name, severity = "GRD510", "parameter-twice", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("optimizer-made"):
            if not event.open and not event.call.unsure and not event.caught:
                yield from self._of_optimizer(event)

    def _of_optimizer(self, event: Event) -> Iterator[Finding]:
        groups = [_tensors(group) for group, used_up in event.groups if used_up is None]
        for number, group in enumerate(groups):
            shared = [tensor for tensor in group if any(tensor in other for other in groups[:number])]
            if shared:
                message = f"{owners(shared)}: in more than one group of the optimizer, which raises"
                yield self.finding(place(event.at), message)
                return
        for group in groups:
            twice = [tensor for tensor, count in Counter(group).items() if count > 1]
            if twice:
                message = f"{owners(twice)}: twice in one list, and each step is taken twice"
                yield self.finding(place(event.at), message, severity=Severity.WARNING)
                return


def _tensors(group: Value) -> list[Tensor]:
    """The parameters of a group, each as often as it is given."""
    if isinstance(group, Tensor):
        return [group]
    items = group.items if isinstance(group, Sequence) and group.rest is None else ()
    named = [item.items[1] if isinstance(item, Sequence) and len(item.items) == 2 else item for item in items]
    return [item for item in named if isinstance(item, Tensor) and item.leaf is True]
