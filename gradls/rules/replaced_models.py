"""Models that others take the place of, after an optimizer was made from their parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.paths import compatible
from gradls.flow.reach import walk
from gradls.flow.unknown_modules import COPY_OF
from gradls.flow.values import Instance, Tensor, Unknown, Value
from gradls.rules.loss_arguments import history, of_call
from gradls.rules.registration import leaves_of

_LOADS = "torch.load"


class Replaced(NamedTuple):
    """`event` is where a name or an attribute gets the new model, `made` the optimizer with the parameters of the old
    one, `step` a step of that behind `backward`, which goes through the new one. A new model that is not `loaded` is a
    copy of the old one, or was made by what had made that."""

    event: Event
    made: Event
    backward: Event
    step: Event
    loaded: bool

    @property
    def new(self) -> Value | None:
        """The new model."""
        return self.event.value if self.event.kind == "model-rebound" else self.event.assigned


def replaced_models(facts: Facts) -> Iterator[Replaced]:
    """Models of which nothing is known but that they are loaded, or copies of the old ones, or made as these were; and
    known ones of the same class."""
    optimizers = facts.numbered("optimizer-made")
    told: set[ast.AST] = set()
    for number, event in facts.numbered("model-rebound", "attribute-set") if optimizers else ():
        new, old = event.value if event.kind == "model-rebound" else event.assigned, event.old
        if event.at.node in told or new is None or old is None or not _is_another(new, old):
            continue
        made = _optimizer_of(facts, optimizers, number, old)
        loaded = isinstance(new, Unknown) and new.name == _LOADS
        if made is None or not (loaded or _is_like(facts, number, new, old)):
            continue
        own = set(leaves_of(new)) if isinstance(new, Instance) else set()
        if any(_may_have(facts, new, own, other, at > number) for at, other in facts.numbered(*_MAKING)):
            continue
        used = _use(facts, number, event, new, old, made)
        if used is not None:
            told.add(event.at.node)
            yield Replaced(event, made, *used, loaded)


def _is_another(new: Value, old: Value) -> bool:
    """Is a model put in the place of another one?"""
    if isinstance(new, Instance):
        return isinstance(old, Instance) and bool(leaves_of(new)) and set(leaves_of(new)).isdisjoint(leaves_of(old))
    if not isinstance(new, Unknown) or new.origin != "call":
        return False
    return isinstance(old, Instance) or (isinstance(old, Unknown) and "parameters" in old.fields)


def _is_like(facts: Facts, number: int, new: Value, old: Value) -> bool:
    """Is a model a copy of the other, or of the same class, or made in the same way?"""
    if isinstance(new, Instance):
        return isinstance(old, Instance) and new.cls is old.cls
    return isinstance(new, Unknown) and (new.fields.get(COPY_OF) is old or _is_made_like(facts, number, new, old))


def replaced_on_branches(facts: Facts, known: set[Tensor]) -> Iterator[Replaced]:
    """Models that a branch makes, whose parameters none of the optimizers that are all `known` has."""
    optimizers = facts.numbered("optimizer-made")
    for number, event in facts.numbered("model-rebound") if optimizers else ():
        new, old = event.value, event.old
        if not isinstance(new, Instance) or not isinstance(old, Instance) or not event.info.get("by_branch"):
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
    held = set(leaves_of(model)) if isinstance(model, Instance) else set()
    for earlier, made in reversed(optimizers):
        if earlier < number:
            if isinstance(model, Instance) and not made.open:
                if held and held.issuperset(made.parameters) and made.parameters:
                    return made
            elif any(owner is model for owner in _owners(facts, made)):
                return made
    return None


def _owners(facts: Facts, made: Event) -> list[Value | None]:
    """The unknown models from whose `parameters()` an optimizer is made."""
    given = given_to(made)
    if not isinstance(given, ast.Call):
        return []
    asked = [of_call(function) for function, _, _ in facts.evaluations(given)]
    return [owner for owner, name in asked if name == "parameters"]


def given_to(made: Event) -> ast.expr | None:
    """The expression of what an optimizer is given."""
    keyword = next((one.value for one in getattr(made.at.node, "keywords", ()) if one.arg == "params"), None)
    return next(iter(getattr(made.at.node, "args", ())), keyword)


def _may_have(facts: Facts, new: Value, own: set[Tensor], made: Event, is_later: bool) -> bool:
    """May an optimizer have the parameters of the new model, `own` if that is known? One that was made before may then,
    too, for the model may be older."""
    if isinstance(new, Instance):
        return bool(is_later and made.strange) or not own.isdisjoint(made.parameters)
    if not is_later:
        return False
    owners = _owners(facts, made)
    others = bool(owners) and all(owner is not new and getattr(owner, "origin", "") == "call" for owner in owners)
    return bool(made.open or made.strange) and not others


def _use(facts: Facts, number: int, event: Event, new: Value, old: Value, made: Event) -> tuple[Event, Event] | None:
    """A backward through the new model, and the step of the optimizer that follows it."""
    backward: Event | None = None
    for _, later in _after(facts, number, "backward", "step"):
        if later.kind == "backward":
            if compatible(event.path, later.path) and _goes_through(later, new, old):
                backward = later
        elif backward is not None and later.value is made.value:
            return backward, later
    return None


def _goes_through(backward: Event, new: Value, old: Value) -> bool:
    """Does a backward go through the new model, or through what is the new or the old one by branch?"""
    if isinstance(new, Instance):
        reached = backward.reached
        return not reached.isdisjoint(leaves_of(new)) and reached.isdisjoint(
            leaves_of(old) if isinstance(old, Instance) else ()
        )
    root = None if backward.value is None else history(backward.value)
    found = [model for node in walk(root) for model in _called(node)] if root is not None else []
    return not any(model is old for model in found) and any(
        model is new or (isinstance(new, Unknown) and _is_either(model, new, old)) for model in found
    )


def _called(node: Node) -> list[Value]:
    """What is called where something unknown comes from, and what that is a method of."""
    called = node.get("called") if node.kind == "opaque" else None
    return [one for one in (called, called.fields.get("of")) if one is not None] if isinstance(called, Unknown) else []


def _is_either(model: Value, new: Unknown, old: Value) -> bool:
    if not isinstance(model, Unknown) or model.origin not in ("branches", "either"):
        return False
    return model.name == new.name and (isinstance(old, Unknown) or old in model.among)
