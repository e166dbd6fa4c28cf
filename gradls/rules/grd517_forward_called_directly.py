"""GRD517."""

from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class ForwardCalledDirectly(Rule):
    """A call of `forward` that leaves out the hooks of a module.

    ## What it finds
    `module.forward(x)` where the module has forward or backward hooks, or a weight that `weight_norm` or
    `spectral_norm` of `torch.nn.utils` computes anew in such a hook.

    ## Why it matters
    Calling the module runs its hooks around `forward`; calling `forward` does not. What a hook should collect or
    change is missing. A weight that is computed in a hook stays what it was, whatever the optimizer does.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    seen = []
    layer = torch.nn.Linear(3, 1)
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    layer.forward(torch.randn(8, 3))
    assert seen == []
    ```

    ## Use instead
    The module itself.

    ```python
    import torch

    seen = []
    layer = torch.nn.Linear(3, 1)
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    layer(torch.randn(8, 3))
    assert len(seen) == 1
    ```

    ## When it is silent
    For modules without hooks, where it makes no difference, and for `super().forward(x)`.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3)
    assert torch.equal(layer.forward(inputs), layer(inputs))
    ```

    ## Fix safety
    Safe: it calls the module.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.forward
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook
    """

    code, name, severity = "GRD517", "forward-called-directly", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen = set()
        for event in facts.of("direct-forward"):
            if event.at.node in seen or event.caught:
                continue
            seen.add(event.at.node)
            function = event.at.node.func  # type: ignore[attr-defined]
            receiver = facts.segment(function.value)
            why = "its hooks do not run" if event.hooks else "its weight, which a hook computes, stays what it was"
            message = f"{code(facts, event.at.node)} calls `forward` alone: {why}; call `{receiver}(...)`"
            fix = Fix(
                "Call the module",
                Safety.SAFE,
                edits.replace_expression(place(event.at._replace(node=function)), receiver),
            )
            yield self.finding(place(event.at), message, (), [fix])
