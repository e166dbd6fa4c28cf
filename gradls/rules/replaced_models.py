"""Models that others take the place of, after an optimizer was made from their parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import compatible
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Tensor, Unknown, Value
from gradls.rules.loss_arguments import history, of_call
from gradls.rules.registration import leaves_of

_LOADS = "torch.load"


class Replaced(NamedTuple):
    """`event` is where a name or an attribute gets the new model, `made` the optimizer with the parameters of the old
    one, `step` a step of that behind `backward`, which goes through the new one. A new model that is not `loaded` was
    made by what had made the old one."""

    event: Event
    made: Event
    backward: Event
    step: Event
    loaded: bool


def replaced_models(facts: Facts) -> Iterator[Replaced]:
    """Models of which nothing is known but that they are loaded, or made as the old ones were."""
    optimizers = facts.numbered("optimizer-made")
    told: set[ast.AST] = set()
    for number, event in facts.numbered("model-rebound", "attribute-set") if optimizers else ():
        new = event.value if event.kind == "model-rebound" else event.assigned
        old = event.old
        if event.at.node in told or not isinstance(new, Unknown) or not isinstance(old, (Instance, Unknown)):
            continue
        if new.origin != "call" or (isinstance(old, Unknown) and "parameters" not in old.fields):
            continue
        made = _optimizer_of(facts, optimizers, number, old)
        loaded = new.name == _LOADS
        if made is None or not (loaded or _is_made_like(facts, number, new, old)):
            continue
        if any(_may_have(facts, later, new) for _, later in _after(facts, number, *_MAKING)):
            continue
        used = _use(facts, number, event, new, old, made)
        if used is not None:
            told.add(event.at.node)
            yield Replaced(event, made, *used, loaded)


def replaced_on_branches(facts: Facts, known: set[Tensor]) -> Iterator[Replaced]:
    """Models that a branch makes, whose parameters none of the optimizers that are all `known` has."""
    optimizers = facts.numbered("optimizer-made")
    for number, event in facts.numbered("model-rebound") if optimizers else ():
        new, old = event.value, event.old
        if not isinstance(new, Instance) or not isinstance(old, Instance) or event.path is None:
            continue
        made, leaves = _optimizer_of(facts, optimizers, number, old), set(leaves_of(new))
        if made is None or not leaves.isdisjoint(known) or not leaves.isdisjoint(leaves_of(old)):
            continue
        backward: Event | None = None
        for _, later in _after(facts, number, "backward", "step"):
            if not compatible(event.path, later.path):
                continue
            if later.kind == "backward":
                filled = [leaf for leaf in later.reached if leaf in leaves and leaf.requires_grad is True]
                backward = later if filled else backward
            elif backward is not None and later.value is made.value:
                yield Replaced(event, made, backward, later, True)
                break


_MAKING = ("optimizer-made", "group-added")


def _after(facts: Facts, number: int, *kinds: str) -> list[tuple[int, Event]]:
    return [(later, event) for later, event in facts.numbered(*kinds) if later > number]


def _is_made_like(facts: Facts, number: int, new: Unknown, old: Value) -> bool:
    """Did the same function give both, without being given the first when it made the second?"""
    calls = [event for earlier, event in facts.numbered("unknown-call") if earlier < number]
    making = next((event for event in reversed(calls) if event.info.get("result") is new), None)
    before = next((event for event in reversed(calls) if event.info.get("result") is old), None)
    if making is None or before is None or making.value is None or of_call(making.value)[0] is not None:
        return False
    return making.value is before.value and not any(argument is old for argument in making.arguments)


def _optimizer_of(facts: Facts, optimizers: list[tuple[int, Event]], number: int, model: Value) -> Event | None:
    """The last optimizer before an event that was made from the parameters of a model."""
    for earlier, made in reversed(optimizers):
        if earlier < number:
            if isinstance(model, Instance):
                held = set(leaves_of(model))
                if held and held.issuperset(made.parameters) and made.parameters and not made.open:
                    return made
            elif any(owner is model for owner in _owners(facts, made)):
                return made
    return None


def _owners(facts: Facts, made: Event) -> list[Value | None]:
    """The unknown models from whose `parameters()` an optimizer is made."""
    given = next(iter(getattr(made.at.node, "args", ())), None)
    if not isinstance(given, ast.Call):
        return []
    asked = [of_call(function) for function, _, _ in facts.evaluations(given)]
    return [owner for owner, name in asked if name == "parameters"]


def _may_have(facts: Facts, made: Event, new: Unknown) -> bool:
    """May an optimizer, made later, have the parameters of the new model?"""
    owners = _owners(facts, made)
    others = bool(owners) and all(owner is not new and getattr(owner, "origin", "") == "call" for owner in owners)
    return bool(made.open or made.strange) and not others


def _use(facts: Facts, number: int, event: Event, new: Unknown, old: Value, made: Event) -> tuple[Event, Event] | None:
    """A backward through the new model, and the step of the optimizer that follows it."""
    backward: Event | None = None
    for _, later in _after(facts, number, "backward", "step"):
        if later.kind == "backward":
            if compatible(event.path, later.path) and _goes_through(facts, later, new, old):
                backward = later
        elif backward is not None and later.value is made.value:
            return backward, later
    return None


def _goes_through(facts: Facts, backward: Event, new: Unknown, old: Value) -> bool:
    """Does a backward go through the new model, or through what is the new or the old one by branch?"""
    root = None if backward.value is None else history(backward.value)
    for node in walk(root) if root is not None else ():
        if node.kind == "opaque" and node.at is not None and isinstance(node.at.node, ast.Call):
            for function, _, _ in facts.evaluations(node.at.node):
                model = of_call(function)[0] or function
                if model is old:
                    return False
                if model is new or _is_either(model, new, old):
                    return True
    return False


def _is_either(model: Value, new: Unknown, old: Value) -> bool:
    if not isinstance(model, Unknown) or model.origin not in ("branches", "either"):
        return False
    return model.name == new.name and (isinstance(old, Unknown) or old in model.among)
