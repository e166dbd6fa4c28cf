"""GRD509."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import Round
from gradls.flow.values import Class, Instance, Lib
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class MissingForward(Rule):
    """A module that is called and has no `forward`.

    ## What it finds
    A call of an `nn.Module` whose class and bases define no `forward`: because the method is missing, misspelt, or
    indented into another one. An `nn.ModuleList` and an `nn.ModuleDict` have none either.

    ## Why it matters
    Calling a module runs its `forward`.

    ## What PyTorch does
    It raises

        NotImplementedError: Module [Net] is missing the required "forward" function

    ## Example
    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def foward(self, x):
            return self.layer(x)


    net = Net()
    net(torch.randn(8, 3))  # raises NotImplementedError: Module [Net] is missing the required "forward" function
    ```

    ## Use instead
    A method `forward` of the class.

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x)


    assert Net()(torch.randn(8, 3)).shape == (8, 1)
    ```

    ## When it is silent
    Where a base class may have it.

    ```python
    import torch


    class Net(torch.nn.Sequential):
        def __init__(self):
            super().__init__(torch.nn.Linear(3, 1))


    assert Net()(torch.randn(8, 3)).shape == (8, 1)
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.forward
    """

    code, name, severity = "GRD509", "missing-forward", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("no-forward"):
            module = event.value
            # An object that the program made itself: a base class may leave `forward` to others.
            if not isinstance(module, Instance) or event.caught:
                continue
            if isinstance(module.cls, Lib) and _is_by_branch(event):
                # Somebody else may put a module with a forward there, and take this branch only then.
                continue
            if module.at is not None and isinstance(module.at.node, ast.Call):
                yield self._report(facts, event, module)

    def _report(self, facts: Facts, event: Event, module: Instance) -> Finding:
        kind = str(module.data.get("path", module.path)).rpartition(".")[2]
        if isinstance(module.cls, Class):
            message = f"{code(facts, event.at.node)} raises: `{module.cls.name}` has no method `forward`"
            story = [Step(Place(module.cls.source, module.cls.node), "this class")]
            return self.finding(place(event.at), message, story)
        message = f"{code(facts, event.at.node)} raises: `{kind}` only holds modules, and has no `forward`; call these"
        story = [Step(place(module.at), f"the `{kind}` is made here")] if module.at is not None else []
        return self.finding(place(event.at), message, story)


def _is_by_branch(event: Event) -> bool:
    path = event.path
    while path is not None:
        if not isinstance(path[1], Round):
            return True
        path = path[0]
    return False
