"""GRD519."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Event, Facts
from gradls.flow.values import TRUE, Instance
from gradls.rules.finding import Finding, Fix, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import brief, put
from gradls.rules.training_order import is_on_the_way, outermost
from gradls.rules.words import code, place


class FrozenStatistics(Rule):
    """A batch normalization that is frozen, and whose statistics go on changing.

    ## What it finds
    A `BatchNorm` layer of which all parameters have `requires_grad=False`, and that is used in train mode; and one that
    was put in evaluation mode by itself, or with a part of the model, which `train()` of the whole undoes before it is
    used.

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

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    model[1].eval()
    model.train()
    model(torch.randn(8, 3) + 5)
    assert model[1].running_mean.norm() > 0.1
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
    Suggested: `eval()` of the part is called again behind what undoes it. There is none for what is only frozen.

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
        for stopped, started, used in _undone(facts):
            if started.at.node not in seen and not used.caught:
                seen.add(started.at.node)
                yield self._of_part(facts, stopped, started, used)

    def _of_part(self, facts: Facts, stopped: Event, started: Event, used: Event) -> Finding:
        message = (
            f"{code(facts, started.at.node)} undoes {code(facts, stopped.at.node)} before anything is computed: a "
            "batch normalization is back in train mode, and each forward changes its statistics. Call `eval()` on it "
            "afterwards, or in a `train` method of your own"
        )
        story = [
            Step(place(stopped.at), "it is put in evaluation mode here"),
            Step(place(started.at), "and back in train mode here"),
            Step(place(used.at), "where it is used"),
        ]
        return self.finding(place(started.at), message, story, _stopped_again(facts, stopped, started))

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


def _stopped_again(facts: Facts, stopped: Event, started: Event) -> list[Fix]:
    """The fix that puts the part in evaluation mode once more, behind what undoes it in the same function."""
    statement = facts.statement(stopped.at.node)
    if stopped.at.source is not facts.source or started.at.source is not facts.source:
        return []
    if not isinstance(statement, ast.Expr) or facts.function(statement) is not facts.function(started.at.node):
        return []
    if any(isinstance(above, (ast.For, ast.While)) for above in facts.parents(statement)):
        return []
    text = facts.segment(statement)
    return put(facts, started.at.node, text, behind=True, title=f"Call `{brief(statement)}` again behind it")


def _undone(facts: Facts) -> Iterator[tuple[Event, Event, Event]]:
    """Where a part of a model was put in evaluation mode, where the whole went back before the part was used, and where
    a batch normalization of it was then used in train mode."""
    stopped: dict[object, Event] = {}
    undone: dict[object, tuple[Event, Event]] = {}
    for event in facts.of("train-mode", "forward"):
        if event.kind == "forward":
            stopped.pop(event.value, None)
            found = undone.pop(event.value, None)
            in_train_mode = event.training is True and _has_statistics(event.value)
            if found is not None and in_train_mode and is_on_the_way(found[1].path, event.path):
                yield *found, event
            continue
        for module in event.modules:
            before = stopped.pop(module, None)
            undone.pop(module, None)
            if event.mode is False:
                stopped[module] = event
            elif before is not None and _undoes(event, before):
                undone[module] = before, event


def _undoes(started: Event, stopped: Event) -> bool:
    """Is more put in train mode than was taken out of it, wherever that was done?"""
    together = is_on_the_way(started.path, stopped.path) and outermost(started) is outermost(stopped)
    return together and started.mode is True and set(stopped.modules) < set(started.modules)


def _has_statistics(layer: object) -> bool:
    """Is it a batch normalization that keeps statistics and that nobody else has?"""
    if not isinstance(layer, Instance) or layer.fields.get("*escaped"):
        return False
    spec = find_module(layer.path)
    track = layer.data.get("options", {}).get("track_running_stats")
    return spec is not None and spec.kind == "norm" and bool(spec.buffers) and (track is None or track is TRUE)
