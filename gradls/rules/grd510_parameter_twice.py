"""GRD510."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Sequence, Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.scopes import bound_once
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
    groups = [{"params": model.parameters(), "lr": 0.01}, {"params": model[1].parameters()}]
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
    Suggested: of two groups, the larger one is left what the smaller one does not have. None for other lists.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
    """

    code, name, severity = "GRD510", "parameter-twice", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("optimizer-made"):
            if not event.open and not event.call.unsure and not event.caught:
                yield from self._of_optimizer(facts, event)

    def _of_optimizer(self, facts: Facts, event: Event) -> Iterator[Finding]:
        groups = [_tensors(group) for group, used_up in event.groups if used_up is None]
        for number, group in enumerate(groups):
            shared = [tensor for tensor in group if any(tensor in other for other in groups[:number])]
            if shared:
                message = f"{owners(shared)}: in more than one group of the optimizer, which raises"
                yield self.finding(place(event.at), message, (), _fixes(facts, event, groups))
                return
        for group in groups:
            twice = [tensor for tensor, count in Counter(group).items() if count > 1]
            if twice:
                message = f"{owners(twice)}: twice in one list, and each step is taken twice"
                yield self.finding(place(event.at), message, severity=Severity.WARNING)
                return


def _fixes(facts: Facts, event: Event, groups: list[list[Tensor]]) -> list[Fix]:
    """Of two groups of which one has all that is in the other: leave that out of the larger one."""
    call = event.at.node
    written = call.args[0] if isinstance(call, ast.Call) and call.args else None
    if isinstance(written, ast.Name):
        written = bound_once(facts, written)
    if not isinstance(written, ast.List) or len(written.elts) != 2 or len(groups) != 2:
        return []
    given = [_parameters(entry) for entry in written.elts]
    large = 0 if len(groups[0]) > len(groups[1]) else 1
    one, other = given[large], given[1 - large]
    if one is None or other is None or not all(tensor in groups[large] for tensor in groups[1 - large]):
        return []
    rest = f"any(p is q for q in {facts.segment(other)})"
    new = f"[p for p in {facts.segment(one)} if not {rest}]"
    build = edits.replace_expression(Place(event.at.source, one), new)
    return [Fix("Leave them out of the larger group", Safety.SUGGESTED, build)]


def _parameters(entry: ast.expr) -> ast.expr | None:
    """The call of `parameters()` that a group is written with."""
    if not isinstance(entry, ast.Dict):
        return None
    for key, value in zip(entry.keys, entry.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "params":
            called = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)
            return value if called and value.func.attr == "parameters" else None  # type: ignore[attr-defined]
    return None


def _tensors(group: Value) -> list[Tensor]:
    """The parameters of a group, each as often as it is given."""
    if isinstance(group, Tensor):
        return [group]
    items = group.items if isinstance(group, Sequence) and group.rest is None else ()
    named = [item.items[1] if isinstance(item, Sequence) and len(item.items) == 2 else item for item in items]
    return [item for item in named if isinstance(item, Tensor) and item.leaf is True]
