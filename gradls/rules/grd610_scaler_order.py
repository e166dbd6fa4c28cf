"""GRD610."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.join import options
from gradls.flow.reach import walk
from gradls.flow.values import Host, Instance, Tensor, Value
from gradls.rules.finding import Finding, Fix, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.scaler_fixes import mended, scaled, stepped_by_scaler, unscaled_before, updated_always
from gradls.rules.scalers_in_use import Misuse, misuses
from gradls.rules.statement_fixes import deleted
from gradls.rules.training_order import is_on_the_way, outermost, receiver_of
from gradls.rules.words import code, place

_KINDS = (
    "scaler-made", "scale", "scaler-step", "scaler-unscale", "scaler-update", "clip", "backward", "step", "zero-grad",
)  # fmt: skip


_Held = dict[Value | None, frozenset[Tensor]]
"""What each optimizer was made with."""
_Found = tuple[Event, Finding]
"""A finding, and what shows it."""


class ScalerOrder(Rule):
    """The calls of a gradient scaler in the wrong order.

    ## What it finds
    `scaler.step()` without a scaled loss before, twice without `update()`, or with a closure; `unscale_()` twice or
    after the step; `update()` without either; gradients that are clipped before `unscale_()`; `backward()` on a loss
    that is not scaled, while the step is taken through the scaler; a step of the optimizer itself if it is; and one
    behind the step of the scaler, which applies the same gradients twice.
    As information, a step or `unscale_()` in each round of a loop, and `update()` only in a branch; and a step of the
    optimizer itself behind `unscale_()`, which applies infinite gradients, too. What a function is given and calls like
    a scaler is taken for one, and what is said of it is information.

    ## Why it matters
    Most of these raise. Clipping scaled gradients makes them almost vanish, as they are thousands of times too large;
    the step divides gradients by the scale, so those of an unscaled loss become much too small.

    ## What PyTorch does
    It raises one of

        AssertionError: Attempted step but _scale is None.
        RuntimeError: unscale_() has already been called on this optimizer since the last update().
        RuntimeError: unscale_() is being called after step().
        RuntimeError: step() has already been called since the last update().
        AssertionError: No inf checks were recorded prior to update.
        RuntimeError: Closure use is not currently supported if GradScaler is enabled.

    and of the others says nothing.

    ## Example
    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.unscale_(optimizer)  # raises RuntimeError: unscale_() has already been called on this optimizer
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(weight.sum()).backward()
    torch.nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() > 0.99
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu")
    for data in torch.ones(3, 1):
        scaler.scale((weight * data).sum()).backward()
        scaler.unscale_(optimizer)  # raises RuntimeError: unscale_() has already been called on this optimizer
        if weight.grad.norm() < 0.5:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(weight.sum()).backward()
    optimizer.step()
    assert weight.item() < -9
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu")
    before = model.bias.item()
    scaler.scale(model(torch.zeros(1, 3)).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.step()
    assert round(before - model.bias.item(), 3) == 2
    ```

    ## Use instead
    Scale, backward, unscale, clip, step, update.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() < 0.01
    ```

    ## When it is silent
    For a scaler that is not enabled. Where that is not known, the finding is information. For one that other code gets,
    which may do the rest.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    weight.sum().backward()
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() == 0
    ```

    ## Fix safety
    Suggested: it writes the call of the scaler that is missing, `scale(loss)`, `unscale_()`, `step()` or `update()`,
    under the names that the scaler and the optimizer have there.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/amp_examples.html
    """

    code, name, severity = "GRD610", "scaler-order", Severity.ERROR
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        events = list(facts.of(*_KINDS))
        done: set[Value | None] = set()
        for made in events:
            if made.kind == "scaler-made" and isinstance(made.value, Instance):
                enabled = _enabled(made)
                if enabled is False or made.value.fields.get("*escaped") or _is_given(facts, made.value):
                    done.add(made.value)
                    continue
                for finding in self._of_scaler(facts, events, made, enabled is True):
                    done.add(made.value)
                    yield finding
        told: set[ast.AST] = set()
        for misuse in facts.each(misuses):
            if misuse.scaler not in done and misuse.event.at.node not in told:
                told.add(misuse.event.at.node)
                yield self._report_misuse(facts, misuse)

    def _of_scaler(self, facts: Facts, events: list[Event], made: Event, enabled: bool) -> Iterator[Finding]:
        own = [event for event in events if event.value is made.value and event is not made]
        for number, event in enumerate(own):
            before = [other for other in own[:number] if outermost(other) is outermost(event)]
            last = max((i for i, other in enumerate(before) if other.kind == "scaler-update"), default=-1)
            since = [other for other in before[last + 1 :] if is_on_the_way(other.path, event.path)]
            # Of methods that nobody calls here, others may be called before this one.
            elsewhere = [other for other in own if outermost(other) is not outermost(event)]
            message, other = _broken(event, [*before, *elsewhere], since)
            if message:
                story = [] if other is None else [Step(place(other.at), "this came before")]
                fixes = mended(facts, made, own, event, other)
                yield self._report(facts, event, message, story, Severity.ERROR, enabled, fixes)
                return
            skipped = _may_be_skipped(event, before)
            if skipped is not None:
                message = (
                    f"it raises in the round after one that skips {code(facts, skipped.at.node)}; update in each round"
                )
                story = [Step(place(skipped.at), "this depends on a test")]
                fixes = updated_always(facts, event, skipped)
                yield self._report(facts, event, message, story, Severity.INFORMATION, enabled, fixes)
                return
        yield from self._of_gradients(facts, events, made, enabled)

    def _report(
        self,
        facts: Facts,
        event: Event,
        message: str,
        story: list[Step],
        severity: Severity,
        enabled: bool,
        fixes: Sequence[Fix] = (),
    ) -> Finding:
        what = code(facts, event.at.node)
        if not enabled:
            severity, message = Severity.INFORMATION, f"{message}, if the scaler is enabled"
        return self.finding(place(event.at), f"{what}: {message}", story, fixes, severity)

    def _report_misuse(self, facts: Facts, misuse: Misuse) -> Finding:
        """Where it is not known what the optimizer has, or whether it is a scaler at all."""
        written = receiver_of(misuse.call.at.node)
        who = "the scaler" if isinstance(misuse.scaler, Instance) or written is None else code(facts, written)
        message = f"{code(facts, misuse.event.at.node)}: {_MISUSES[misuse.kind]}, if {who} is a scaler that is enabled"
        message = message.replace("the scaler is a scaler that", "the scaler")
        story = [Step(place(misuse.other.at), _STORIES[misuse.kind])]
        return self.finding(place(misuse.event.at), message, story, severity=Severity.INFORMATION)

    def _of_gradients(self, facts: Facts, events: list[Event], made: Event, enabled: bool) -> Iterator[Finding]:
        """What is done first of all that is wrong with scaled gradients."""
        later = events[events.index(made) + 1 :]
        held = {event.value: frozenset(event.parameters) for event in facts.of("optimizer-made")}
        found = [*self._stepped_again(facts, later, made, held)][:1]
        found += [*self._of_scaled(facts, later, made, held, enabled)][:1]
        if found:
            yield min(found, key=lambda one: one[0].clock)[1]

    def _stepped_again(self, facts: Facts, events: list[Event], made: Event, held: _Held) -> Iterator[_Found]:
        """Steps of an optimizer that the scaler has just stepped."""
        through = {event.at.node for event in events if event.kind == "scaler-step"}
        stepped: dict[Value | None, Event] = {}
        for event in events:
            if event.kind in ("backward", "zero-grad"):
                new = event.reached if event.kind == "backward" else frozenset(event.parameters)
                stepped = {one: step for one, step in stepped.items() if new.isdisjoint(held.get(one, frozenset()))}
            elif event.kind == "scaler-step" and event.value is made.value:
                stepped[event.optimizer] = event
            elif event.kind == "step" and event.at.node not in through and event.value in stepped:
                before = stepped.pop(event.value)
                if is_on_the_way(before.path, event.path) and held.get(event.value):
                    message = f"{code(facts, before.at.node)} has applied these gradients already; leave this step away"
                    story = [Step(place(before.at), "they are applied here")]
                    fixes = deleted(facts, event)
                    yield event, self._report(facts, event, message, story, Severity.WARNING, True, fixes)

    def _of_scaled(
        self, facts: Facts, events: list[Event], made: Event, held: _Held, enabled: bool
    ) -> Iterator[_Found]:
        """Steps and clipping of scaled gradients, and gradients that were never scaled."""
        through = {event.at.node for event in events if event.kind == "scaler-step"}
        backward = clip = None
        unscaled: frozenset[Tensor] = frozenset()
        for event in events:
            if event.kind == "backward":
                # What is added to unscaled gradients is to be plain: the step does not divide again.
                backward = None if _is_plain(event) and not unscaled.isdisjoint(event.reached) else event
                clip = None
            elif event.kind == "scaler-update" and event.value is made.value:
                unscaled = frozenset()
            elif event.kind == "scaler-unscale" and event.value is made.value:
                unscaled |= held.get(event.optimizer, frozenset())
                backward = None  # What comes before the next one is done with plain gradients.
            elif backward is None:
                continue
            elif event.kind == "step" and event.at.node not in through:
                known = not frozenset(event.parameters).isdisjoint(backward.reached)
                if known and _is_scaled(backward) and is_on_the_way(backward.path, event.path):
                    message = (
                        "the gradients are still scaled here, and it applies them as they are; use `scaler.step()`"
                    )
                    story = [Step(place(backward.at), "they are computed from a scaled loss")]
                    fixes = stepped_by_scaler(facts, made, event)
                    yield event, self._report(facts, event, message, story, Severity.WARNING, enabled, fixes)
            elif event.kind == "clip" and _is_of(backward, event):
                clip = clip or event
            elif event.kind == "scaler-step" and event.value is made.value:
                mine = held.get(event.optimizer, frozenset())
                if backward.node is None or not mine & backward.reached or not is_on_the_way(backward.path, event.path):
                    continue
                if clip is not None and _is_scaled(backward) and is_on_the_way(clip.path, event.path):
                    message = (
                        "the gradients are still scaled here, and nearly vanish when clipped; call `unscale_()` first"
                    )
                    story = [Step(place(event.at), "they are unscaled only in the step")]
                    fixes = unscaled_before(facts, event, clip)
                    yield event, self._report(facts, clip, message, story, Severity.WARNING, enabled, fixes)
                elif _is_plain(backward):
                    message = "this loss is not scaled, and the step divides by the scale; use `scaler.scale(loss)`"
                    story = [Step(place(event.at), "the gradients are unscaled here")]
                    fixes = scaled(facts, event, backward)
                    yield event, self._report(facts, backward, message, story, Severity.WARNING, enabled, fixes)


_MISUSES = {
    "update": "nothing calls `update()` before it steps a second time, and that raises",
    "clip": "the gradients are still scaled here, and nearly vanish when clipped; call `unscale_()` first",
    "step": "the gradients are still scaled here, and it applies them as they are; use `scaler.step()`",
    "infinite": "`scaler.step()` leaves the step away when a gradient is infinite, and this does not",
}
_STORIES = {
    "update": "it steps here in an earlier round",
    "clip": "they are unscaled only in the step",
    "step": "they are computed from a scaled loss",
    "infinite": "the gradients are unscaled here",
}


def _is_given(facts: Facts, scaler: Instance) -> bool:
    """Does unknown code get it, which may step with it?"""
    return any(scaler in options(value) for event in facts.of("unknown-call") for value in event.arguments)


def _broken(event: Event, before: list[Event], since: list[Event]) -> tuple[str, Event | None]:
    """What is wrong with a call of a scaler, after those `before` it and those `since` the last update."""
    optimizer = event.info.get("optimizer")
    same = [other for other in since if other.info.get("optimizer") is optimizer and optimizer is not None]
    stepped = next((other for other in same if other.kind == "scaler-step"), None)
    unscaled = next((other for other in same if other.kind == "scaler-unscale"), None)
    if event.kind == "scaler-step":
        if "closure" in event.call.kwargs or (len(event.call.args) > 1 and not event.call.unsure):
            return "a scaler takes no closure, and raises", None
        if not any(other.kind == "scale" for other in before):
            return "no loss was scaled before, and it raises; use `scaler.scale(loss).backward()`", None
        if stepped is not None:
            return "it steps a second time without `update()`, and raises", stepped
    elif event.kind == "scaler-unscale":
        if stepped is not None:
            return "it comes after the step, which unscales itself, and raises", stepped
        if unscaled is not None:
            return "it unscales a second time without `update()`, and raises", unscaled
    elif event.kind == "scaler-update" and not event.info.get("optimizer"):
        inner = [other for other in before if other.kind in ("scaler-step", "scaler-unscale")]
        if not inner and any(other.kind == "scale" for other in before):
            return "there was neither a step nor `unscale_()` before, and it raises", None
    return "", None


def _may_be_skipped(event: Event, before: list[Event]) -> Event | None:
    """The only update since the same call of the round before, if it stands in a branch that this call is not in."""
    if event.kind not in ("scaler-step", "scaler-unscale"):
        return None
    for number in range(len(before) - 1, -1, -1):
        other = before[number]
        if other.kind == event.kind and other.info.get("optimizer") is event.info.get("optimizer"):
            updates = [one for one in before[number:] if one.kind == "scaler-update"]
            one = updates[0] if updates else None
            if one is None or any(update.at.node is not one.at.node for update in updates):
                return None
            is_sure = is_on_the_way(one.path, other.path) or is_on_the_way(one.path, event.path)
            return None if is_sure or other.at.node is not event.at.node else one
    return None


def _enabled(made: Event) -> bool | None:
    value = made.call.kwargs.get("enabled")
    return True if value is None and not made.call.unsure else _known(value)


def _is_scaled(backward: Event) -> bool:
    return backward.node is not None and any(part.op == "scale" for part in walk(backward.node))


def _is_of(backward: Event, clip: Event) -> bool:
    return bool(backward.node is not None and frozenset(clip.parameters) & backward.reached)


def _is_plain(backward: Event) -> bool:
    """Is a loss certainly not scaled?"""
    if backward.node is None or backward.requires_grad is not True:
        return False
    seen = {backward.node}
    todo = [backward.node]
    while todo:
        node = todo.pop()
        if node.op == "scale" or node.kind == "opaque":
            return False
        # What a criterion is given, data that nothing is known of among it, is not scaled: its result would be.
        inner = [] if node.label == "loss" else [edge.node for edge in node.edges if edge.node not in seen]
        seen.update(inner)
        todo += inner
    return True


def _known(value: Value | None) -> bool | None:
    return bool(value.value) if isinstance(value, Host) and value.known else None
