"""Gradient scalers in functions that are given them, or of which not all is known: what is called like one is taken for
one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import compatible
from gradls.flow.values import Unknown, Value
from gradls.rules.loss_arguments import history, of_call
from gradls.rules.training_order import is_on_the_way, receiver_of, rounds_of


class Misuse(NamedTuple):
    """`kind` is "update", "clip", "step" or "infinite"; `event` is what goes wrong, and `other` what came before it."""

    kind: str
    event: Event
    other: Event
    call: Event
    """A call of the scaler."""

    @property
    def scaler(self) -> Value | None:
        """The scaler, or what is called as one is."""
        value = self.call.value
        return value if self.call.kind in _KINDS or value is None else of_call(value)[0]


class _Act(NamedTuple):
    """Something that happens to gradients: they are scaled (by a backward), come from another backward, are unscaled,
    clipped, or used by a step of the scaler or a plain one; or the scaler is updated, or handed on."""

    kind: str
    event: Event


_METHODS = {"scale": "scale", "unscale_": "unscale", "update": "update"}
_KINDS = {"scale": "scale", "scaler-unscale": "unscale", "scaler-step": "step", "scaler-update": "update"}


def misuses(facts: Facts) -> Iterator[Misuse]:
    """The first misuse of each scaler in a chapter."""
    if not any(facts.of("scale", "unknown-call")):
        return
    for acts in _by_scaler(facts).values():
        kinds = {act.kind for act in acts}
        if facts.unfinished:
            kinds |= {"step", "update"}  # It may do these later.
        if "scaled" in kinds and kinds & {"step", "update", "unscale"} and "given" not in kinds:
            call = next(act.event for act in acts if act.kind == "scale")
            yield from (Misuse(*found, call) for found in islice(_of_scaler(acts, kinds), 1))


def _of_scaler(acts: list[_Act], kinds: set[str]) -> Iterator[tuple[str, Event, Event]]:
    backward: Event | None = None
    clip: Event | None = None
    unscaled = False
    first: dict[ast.AST, Event] = {}
    for kind, event in acts:
        if kind in ("scaled", "plain backward"):
            backward, clip, unscaled = (event if kind == "scaled" else None), None, False
        # The other branch is for gradients that nobody clips.
        if kind == "unscale" and (clip is None or compatible(clip.path, event.path)):
            unscaled = True
            same = (one for other, one in acts if other == "plain step" and _is_unscaled_for(event, one))
            yield from (("infinite", one, event) for one in same if "step" not in kinds)
        if backward is None or unscaled or not is_on_the_way(backward.path, event.path):
            continue
        if kind == "clip":
            clip = clip or event
        elif kind == "plain step" and "step" not in kinds:
            yield "step", event, backward
        elif kind == "step" and clip is not None and compatible(clip.path, event.path):
            yield "clip", clip, event
    for kind, event in acts if "update" not in kinds else ():
        before = first.setdefault(event.at.node, event)
        if kind == "step" and rounds_of(event.path) != rounds_of(before.path):
            yield "update", event, before


def _is_unscaled_for(unscale: Event, step: Event) -> bool:
    """Does a step follow on the unscaling of the gradients of its optimizer, whatever these are?"""
    given = unscale.info.get("optimizer") or next(iter(unscale.info.get("arguments", ())), None)
    if given is not step.value or step.clock < unscale.clock or rounds_of(unscale.path) != rounds_of(step.path):
        return False
    return is_on_the_way(unscale.path, step.path, whichever=True) and is_on_the_way(step.path, unscale.path)


def _by_scaler(facts: Facts) -> dict[object, list[_Act]]:
    """What each scaler does, with what is done besides, in order."""
    cleared = {event.value for event in facts.of("unknown-zero-grad")}
    found: dict[object, list[_Act]] = {}
    values: dict[Value, object] = {}
    scales: dict[ast.AST, object] = {}
    through: set[ast.AST] = set()
    for event in facts.of(*_KINDS, "unknown-call", "unknown-step", "backward", "clip", "step"):
        scaler, kind = _call_of(event)
        if scaler is not None:
            key = values.setdefault(scaler, _key(facts, event, scaler))
            through.add(event.at.node)
            if kind == "scale":
                scales[event.at.node] = key
            found.setdefault(key, []).append(_Act(kind, event))
        elif event.kind == "unknown-call":
            for key in {values[value] for value in event.arguments if value in values}:
                found[key].append(_Act("given", event))
        else:
            _note(event, found, scales, through, cleared)
    return found


def _note(
    event: Event,
    found: dict[object, list[_Act]],
    scales: dict[ast.AST, object],
    through: set[ast.AST],
    cleared: set[Value | None],
) -> None:
    """What is no call of a scaler happens for all that there are, but what one of them has scaled."""
    scaled = scales.get(_root_of(event)) if event.kind == "backward" else None
    for key, acts in found.items():
        if event.kind == "backward":
            acts.append(_Act("scaled" if key == scaled else "plain backward", event))
        elif event.kind == "clip":
            acts.append(_Act("clip", event))
        elif event.at.node not in through and (event.kind == "step" or event.value in cleared):
            acts.append(_Act("plain step", event))


def _call_of(event: Event) -> tuple[Value | None, str]:
    """The scaler, or what is called as one is, and what it does."""
    if event.kind in _KINDS:
        return event.value, _KINDS[event.kind]
    if event.kind == "unknown-step":
        return (event.value, "step") if event.arguments else (None, "")
    owner, name = of_call(event.value) if event.kind == "unknown-call" and event.value is not None else (None, "")
    takes = 0 if name == "update" else 1
    return (owner, _METHODS[name]) if name in _METHODS and len(event.arguments) == takes else (None, "")


def _key(facts: Facts, event: Event, scaler: Value) -> object:
    """What stands for a scaler: something unknown may be another value behind a test, under the same name."""
    written = receiver_of(event.at.node)
    if isinstance(scaler, Unknown) and written is not None:
        return facts.function(written), facts.segment(written)
    return scaler


def _root_of(backward: Event) -> ast.AST:
    """The expression that computes what a backward is called on."""
    written = receiver_of(backward.at.node)
    node = backward.node if backward.node is not None else history(backward.value) if backward.value else None
    made = node.at.node if node is not None and node.at is not None else None
    return made if made is not None and not isinstance(written, ast.Call) else written or backward.at.node
