"""GRD711."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.registration import leaves_of
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_WRITES = frozenset(("write", "data-set", "load-state-dict", "leaf-write", "copied"))


class MovingStatistics(Rule):
    """Batch normalization whose parameters are frozen, and whose running statistics go on moving.

    ## What it finds
    A normalization layer with running statistics whose parameters were frozen with `requires_grad`, and that is called
    in training mode.

    ## Why it matters
    `requires_grad` concerns the weight and the bias. The running mean and variance are buffers: every call in training
    mode changes them, under `no_grad` too, and normalizes with the statistics of the batch. The frozen part does not
    compute what it was trained to compute.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    head = torch.nn.Linear(4, 1)
    backbone.requires_grad_(False)
    before = backbone[1].running_mean.clone()
    head(backbone(torch.randn(8, 3) + 1)).sum().backward()
    assert not torch.equal(backbone[1].running_mean, before)
    ```

    ## Use instead
    `eval()` for the frozen part, after every `train()` of the whole model.

    ```python
    import torch

    backbone = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    head = torch.nn.Linear(4, 1)
    backbone.requires_grad_(False).eval()
    before = backbone[1].running_mean.clone()
    head(backbone(torch.randn(8, 3) + 1)).sum().backward()
    assert torch.equal(backbone[1].running_mean, before)
    ```

    ## When it is silent
    Where the parameters are trained again later, or written otherwise, as in a moving average of a model.

    ```python
    import torch

    critic = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    maker = torch.nn.Linear(2, 3)
    for _ in range(2):
        critic.requires_grad_(False)
        critic(maker(torch.randn(8, 2))).mean().backward()
        critic.requires_grad_(True)
        critic(maker(torch.randn(8, 2)).detach()).mean().backward()
    assert critic[1].running_mean is not None
    ```

    ## Fix safety
    There is no automatic fix: where the mode is set is for the author to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    code, name, severity = "GRD711", "moving-statistics", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        frozen: dict[Tensor, Event] = {}
        seen: dict[Event, Event] = {}
        for event in facts.events:
            if event.kind in ("freeze", "requires-grad-set"):
                tensors = event.parameters if event.kind == "freeze" else [event.value]
                for tensor in tensors:
                    frozen.pop(tensor, None)  # type: ignore[arg-type]
                    if event.flag is False and isinstance(tensor, Tensor):
                        frozen[tensor] = event
            elif event.kind == "forward" and isinstance(event.value, Instance) and event.training is True:
                by = _frozen_by(event.value, frozen)
                if by is not None and _has_statistics(event.value):
                    seen.setdefault(by, event)
        told: set[object] = set()
        for by, event in seen.items():
            if by.at.node not in told and not _is_looked_after(facts, event.value):  # type: ignore[arg-type]
                told.add(by.at.node)
                yield self._report(facts, by, event)

    def _report(self, facts: Facts, by: Event, event: Event) -> Finding:
        layer = event.value
        name = f"`{layer.name}`" if isinstance(layer, Instance) and layer.name else "a normalization layer in it"
        message = (
            f"{code(facts, by.at.node)} freezes the weight and bias of {name}, and its running statistics still move: "
            "it is called in training mode. Call `eval()` on what is frozen, after each `train()` of the whole"
        )
        return self.finding(place(by.at), message, [Step(place(event.at), "this call changes the statistics")])


def _frozen_by(layer: Instance, frozen: dict[Tensor, Event]) -> Event | None:
    leaves = leaves_of(layer)
    if not leaves or any(leaf not in frozen or leaf.requires_grad is not False for leaf in leaves):
        return None
    return frozen[leaves[0]]


def _has_statistics(layer: Instance) -> bool:
    return isinstance(layer.fields.get("running_mean"), Tensor) and "BatchNorm" in layer.path


def _is_looked_after(facts: Facts, layer: Instance) -> bool:
    """Are the parameters unfrozen, written or loaded at any time?"""
    leaves = set(leaves_of(layer))
    for event in facts.events:
        if event.kind in _WRITES and isinstance(event.value, Tensor) and leaves & {event.value, event.value.data}:
            return True
        if event.kind == "requires-grad-set" and event.flag is not False and event.value in leaves:
            return True
        if event.kind == "freeze" and event.flag is not False and leaves & set(event.parameters):
            return True
    return False
