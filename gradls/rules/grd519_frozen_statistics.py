"""GRD519."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class FrozenStatistics(Rule):
    """A batch normalization that is frozen, and whose statistics go on changing.

    ## What it finds
    A `BatchNorm` layer of which all parameters have `requires_grad=False`, and that is used in train mode.

    ## Why it matters
    `requires_grad=False` freezes the weight and the bias. The running mean and variance are buffers: in train mode each
    forward moves them towards the new data, under `torch.no_grad()` too. A frozen backbone is then no longer the one
    that was trained.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    norm = torch.nn.BatchNorm1d(3)
    norm.requires_grad_(False)
    norm(torch.randn(8, 3) + 5)
    assert norm.running_mean.norm() > 0.1
    ```

    ## Use instead
    `eval()` for what is frozen; `model.train()` undoes it, so it has to come after.

    ```python
    import torch

    norm = torch.nn.BatchNorm1d(3)
    norm.requires_grad_(False)
    norm.eval()
    norm(torch.randn(8, 3) + 5)
    assert norm.running_mean.norm() == 0
    ```

    ## When it is silent
    In eval mode, for layers with `track_running_stats=False`, where the mode or the flags are not known, and for a
    teacher whose weights are written by hand.

    ```python
    import torch

    norm = torch.nn.BatchNorm1d(3, track_running_stats=False).requires_grad_(False)
    norm(torch.randn(8, 3) + 5)
    assert norm.running_mean is None
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval
    """

    code, name, severity = "GRD519", "frozen-statistics", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[object] = set()
        flagged: dict[object, Event] = {}
        # A teacher, whose weights follow those of a student, may well have statistics of its own.
        by_hand = {event.value for event in facts.of("data-set", "write")}
        modes: dict[object, tuple[Event, bool]] = {}
        for event in facts.of("requires-grad-set", "freeze", "frozen-statistics-moved", "train-mode"):
            if event.kind == "requires-grad-set" and event.flag is False:
                flagged[event.value] = event
            elif event.kind == "freeze" and event.flag is False:
                flagged.update(dict.fromkeys(event.parameters, event))
            elif event.kind == "train-mode":
                for module in event.modules:
                    # What was in evaluation mode before, and is no more.
                    last = modes.get(module)
                    undone = event.mode is True and last is not None and (last[1] or last[0].mode is False)
                    modes[module] = (last[0] if last is not None and last[1] and undone else event, undone)
            elif event.kind == "frozen-statistics-moved" and isinstance(event.value, Instance):
                if event.value.fields.get("weight") in by_hand:
                    continue
                mode = modes.get(event.value)
                if mode is None or not mode[1]:
                    yield from self._of_layer(facts, event, event.value, flagged, seen)
                elif mode[0].at.node not in seen and not event.caught:
                    seen.add(mode[0].at.node)
                    yield self._of_undone(facts, event, event.value, mode[0])

    def _of_undone(self, facts: Facts, event: Event, layer: Instance, mode: Event) -> Finding:
        name = f"`{layer.name}`" if layer.name else "a batch normalization"
        message = (
            f"{code(facts, mode.at.node)} puts {name} back in train mode, which was frozen and in evaluation mode: "
            "each forward changes its statistics. Call `eval()` on it afterwards, or in a `train` method of your own"
        )
        return self.finding(place(mode.at), message, [Step(place(event.at), "it is used in train mode here")])

    def _of_layer(
        self, facts: Facts, event: Event, layer: Instance, flagged: dict[object, Event], seen: set[object]
    ) -> Iterable[Finding]:
        freeze = flagged.get(layer.fields.get("weight"))
        at = freeze.at if freeze is not None else event.at
        if at.node in seen or event.caught:
            return
        seen.add(at.node)
        name = f"`{layer.name}`" if layer.name else "a batch normalization"
        message = (
            f"{code(facts, at.node)} freezes the parameters of {name}, but not its statistics: in train mode "
            "each forward changes `running_mean` and `running_var`; call `eval()` on it"
            if freeze is not None
            else f"{name} is frozen, but in train mode: each forward changes its statistics; call `eval()` on it"
        )
        story = [Step(place(event.at), "it is used in train mode here")] if freeze is not None else []
        yield self.finding(place(at), message, story)
