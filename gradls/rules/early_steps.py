"""Steps between a loss and its backward: what was computed before them is differentiated only when they are done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Unknown
from gradls.rules.forgotten_backward import may_differentiate
from gradls.rules.training_order import Moment, Order, is_on_the_way, is_vague_optimizer, outermost, rounds_of
from gradls.rules.unknown_networks import root_of


class Early(NamedTuple):
    """A `step` right behind the `clear` of its gradients; the loss was there, and its `backward` comes only then."""

    clear: Event
    step: Event
    backward: Event


def early_steps(facts: Facts, order: Order) -> Iterator[Early]:
    """The steps before the backward of a loss that was computed before them, behind which nothing is stepped until the
    gradients are cleared again."""
    clears: list[Moment] = []
    for index, moment in enumerate(order.moments):
        if moment.kind == "backward" or (moment.kind == "clear" and not _is_clear(moment)):
            clears = []
        elif moment.kind == "clear":
            clears.append(moment)
        elif moment.kind == "step" and _is_plain_step(moment):
            clear = next((c for c in reversed(clears) if _clears(c, moment)), None)
            if clear is None or _differentiates_between(facts, clear, moment):
                continue
            backward = _only_then(order, index)
            if backward is not None:
                yield Early(clear.event, moment.event, backward)


def _is_clear(moment: Moment) -> bool:
    return moment.event.kind in ("zero-grad", "unknown-zero-grad")


def _is_plain_step(moment: Moment) -> bool:
    event = moment.event
    if event.kind not in ("step", "unknown-step") or getattr(event.at.node, "args", None):
        return False
    return isinstance(event.value, Instance) or is_vague_optimizer(event)


def _clears(clear: Moment, step: Moment) -> bool:
    """Are the gradients cleared that are stepped, whenever they are stepped, in the same round of the same function?"""
    known = clear.tensors is not None and step.tensors is not None and clear.tensors >= step.tensors
    if (clear.event.value is not step.event.value and not known) or outermost(clear.event) is not outermost(step.event):
        return False
    same = rounds_of(clear.event.path) == rounds_of(step.event.path)
    return same and is_on_the_way(clear.event.path, step.event.path)


def _differentiates_between(facts: Facts, clear: Moment, step: Moment) -> bool:
    """Does anything happen between the two that may compute gradients in a way that is not seen?"""
    for event in facts.events[clear.number + 1 : step.number]:
        if event.kind in ("grad-call", "functional"):
            return True
        if event.kind == "unknown-call" and any(map(may_differentiate, event.arguments)):
            return True
    return False


def _only_then(order: Order, index: int) -> Event | None:
    """The backward that comes next, of a loss that is older than the step, and before the optimizer is cleared again,
    without a step of it. None if there is none, or another step gets what it computes."""
    step = order.moments[index]
    found: Event | None = None
    for moment in order.moments[index + 1 :]:
        event = moment.event
        concerned = event.value is step.event.value or moment.tensors is None or step.tensors is None
        if moment.kind == "backward" and found is None:
            together = event.calls == step.event.calls and rounds_of(event.path) == rounds_of(step.event.path)
            if not together or not is_on_the_way(step.event.path, event.path) or not _is_older(event, step.event):
                return None
            found = event
        elif moment.kind == "step" and event.value is step.event.value:
            return None
        elif moment.kind == "clear" and (concerned or not moment.tensors.isdisjoint(step.tensors)):  # type: ignore[union-attr, arg-type]
            return found
    return found


def _is_older(backward: Event, step: Event) -> bool:
    """Was the loss computed before the step?"""
    root = root_of(backward)
    value = backward.value
    born = root.born if root is not None else value.fields.born if isinstance(value, Unknown) else None
    return born is not None and born < step.clock
