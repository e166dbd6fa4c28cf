"""GRD807."""

import ast
from collections.abc import Iterator

from gradls.autograd.versions import CHECKPOINT_WARNS, since
from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

OPTIONS = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")


class CheckpointArguments(Rule):
    """The reentrant variant of checkpoint is asked for what it cannot do.

    ## What it finds
    `torch.utils.checkpoint.checkpoint` with `use_reentrant=True`, or without that argument, and with keyword arguments
    for the function, `context_fn` or `debug`; and `torch.autograd.grad` or `backward(inputs=...)` through such
    a checkpoint; `checkpoint(model(x))`, which gives it a result in the place of the function. As information, a
    checkpoint without `use_reentrant`, unless `target-torch` is before 2.1, which did not warn.

    ## Why it matters
    The reentrant variant, still the one that is used if none is named, runs a backward of its own inside the backward.
    It takes only positional arguments and cannot stop at some inputs. The other variant has none of these limits.

    ## What PyTorch does
    It raises one of

        ValueError: Unexpected keyword arguments: scale

        ValueError: Passing `context_fn` or `debug` is only supported when use_reentrant=False.

        RuntimeError: When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an
        `inputs` parameter to .backward().

    and warns where `use_reentrant` is not given.

    ## Example
    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    def stage(x, scale):
        return torch.tanh(x) * scale

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(stage, x, scale=2.0, use_reentrant=True)  # raises ValueError: Unexpected keyword arguments: scale
    ```

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(torch.tanh, x, use_reentrant=True)
    torch.autograd.grad(y.sum(), x)  # raises RuntimeError: torch.utils.checkpoint is incompatible with .grad()
    ```

    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(torch.tanh, x)  # warns UserWarning: the use_reentrant parameter should be passed explicitly
    ```

    ## Use instead
    ```python
    import torch
    from torch.utils.checkpoint import checkpoint

    def stage(x, scale):
        return torch.tanh(x) * scale

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(stage, x, scale=2.0, use_reentrant=False)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient is not None
    ```

    ## When it is silent
    With `use_reentrant=False`, and where it is not known.

    ## Fix safety
    Suggested: the other variant computes the same, and hooks and nested checkpoints behave differently in it.

    ## References
    - https://docs.pytorch.org/docs/stable/checkpoint.html
    """

    code, name, severity = "GRD807", "checkpoint-arguments", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        reentrant: dict[object, Event] = {}
        for event in facts.of("checkpoint"):
            if isinstance(event.value, Tensor) and not event.caught:
                message = (
                    f"{code(facts, event.at.node)} is given a result, and raises: it takes the function and its "
                    "arguments apart, `checkpoint(model, x)`"
                )
                yield self.finding(place(event.at), message)
                continue
            if event.given is not None and event.reentrant is not True:
                continue
            if event.result is not None:
                reentrant[event.result] = event
            if not event.caught and not event.call.unsure:
                why = _wrong(event)
                if why:
                    message = (
                        f"{code(facts, event.at.node)} raises: the reentrant variant {why}. Use `use_reentrant=False`"
                    )
                    yield self.finding(place(event.at), message, (), _fixes(event))
                elif event.given is None and since(facts.target, CHECKPOINT_WARNS):
                    message = (
                        f"{code(facts, event.at.node)} does not say which variant: it warns, and uses the reentrant "
                        "one. Give it `use_reentrant=False`"
                    )
                    yield self.finding(place(event.at), message, (), _fixes(event), Severity.INFORMATION)
        for event in facts.of("backward", "grad-call"):
            if event.caught or (event.kind == "backward" and not event.inputs):
                continue
            # The inputs of a backward are reached, and not run.
            passed = next((reentrant[node] for node in event.info.get("ran") or () if node in reentrant), None)
            if passed is not None:
                message = (
                    f"{code(facts, event.at.node)} raises: it goes through a reentrant checkpoint, which only a whole "
                    "`backward()` can. Use `use_reentrant=False`"
                )
                yield self.finding(place(event.at), message, [Step(place(passed.at), "the checkpoint")], _fixes(passed))


def _wrong(event: Event) -> str:
    """What the reentrant variant cannot do with these arguments."""
    extra = [name for name in event.call.kwargs if name not in (*OPTIONS, "function")]
    if extra:
        return f"takes no keyword arguments for the function (`{extra[0]}`)"
    if "context_fn" in event.call.kwargs or event.call.known(-1, "debug") is True:
        return "has no `context_fn` and no `debug`"
    return ""


def _fixes(event: Event) -> list[Fix]:
    if not isinstance(event.at.node, ast.Call):
        return []
    keyword = edits.set_keyword(place(event.at), "use_reentrant", "False")
    return [Fix("Use the variant that is not reentrant", Safety.SUGGESTED, keyword)]
