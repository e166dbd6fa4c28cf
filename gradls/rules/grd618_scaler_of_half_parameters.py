"""GRD618."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Host, Instance, Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class ScalerOfHalfParameters(Rule):
    """A gradient scaler that is used with parameters in half precision.

    ## What it finds
    `scaler.step(optimizer)` or `scaler.unscale_(optimizer)` where a backward gave a gradient to a parameter of the
    optimizer that is in float16, as after `model.half()`.

    ## Why it matters
    The scaler keeps small gradients from vanishing by making them larger before the backward, and divides them again
    in float32. Gradients in float16 would vanish in that division, so it refuses them: mixed precision is made for
    parameters in float32, and autocast computes in half precision by itself.

    ## What PyTorch does
    It raises

        ValueError: Attempting to unscale FP16 gradients.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1).half()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    loss = model(torch.randn(8, 3).half()).mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)  # raises ValueError: Attempting to unscale FP16 gradients.
    ```

    ## Use instead
    Parameters in float32, and autocast around the forward pass.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with torch.autocast("cpu", dtype=torch.float16):
        loss = model(torch.randn(8, 3)).mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert model.weight.dtype == torch.float32
    ```

    ## When it is silent
    For bfloat16, which the scaler takes, for a scaler that is not enabled, and where a dtype is not known.

    ```python
    import torch

    model = torch.nn.Linear(3, 1).bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(torch.randn(8, 3).bfloat16()).mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix: the conversion goes, and autocast comes around the forward pass.

    ## References
    - https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling
    - https://docs.pytorch.org/docs/stable/notes/amp_examples.html
    """

    code, name, severity = "GRD618", "scaler-of-half-parameters", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        reached: set[Tensor] = set()
        made: dict[object, Event] = {}
        for event in facts.of("scaler-made", "scaler-step", "scaler-unscale", "backward"):
            if event.kind == "scaler-made":
                made[event.value] = event
            elif event.kind == "backward":
                reached |= event.reached if event.node is not None else set()
            elif event.halves & reached and not event.caught:
                maker = made.get(event.value)
                if maker is not None and not _is_off(maker):
                    yield self._report(facts, event, maker)
                    return

    def _report(self, facts: Facts, event: Event, maker: Event) -> Finding:
        enabled = maker.call.kwargs.get("enabled")
        sure = enabled is None or (isinstance(enabled, Host) and enabled.known)
        message = (
            f"{code(facts, event.at.node)} raises{'' if sure else ', if the scaler is enabled'}: the gradients are in "
            "float16, as the parameters are. Keep these in float32, and use autocast for the forward pass"
        )
        story = [Step(place(maker.at), "the scaler is made here")]
        if isinstance(event.info.get("optimizer"), Instance) and event.optimizer.at is not None:
            story.append(Step(place(event.optimizer.at), "the optimizer is made here"))
        return self.finding(place(event.at), message, story, severity=None if sure else Severity.INFORMATION)


def _is_off(made: Event) -> bool:
    enabled = made.call.kwargs.get("enabled")
    return made.call.unsure or (isinstance(enabled, Host) and enabled.known and not enabled.value)
