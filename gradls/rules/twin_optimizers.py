"""Two optimizers of the same parameters, beside another model that is trained and that none has."""

from __future__ import annotations

import ast
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.join import options
from gradls.flow.reach import walk
from gradls.flow.sources import is_call
from gradls.flow.unknown_modules import asks_to_train, is_converted
from gradls.flow.values import FALSE, Instance, Tensor, Unknown, Value
from gradls.flow.wholes import VIEWED
from gradls.rules.finding import Step
from gradls.rules.loss_arguments import of_call
from gradls.rules.replaced_models import given_to
from gradls.rules.training_order import is_on_the_way, loops_of, order_of, outermost
from gradls.rules.unknown_networks import network_of, root_of
from gradls.rules.words import code, owners, place


class Twins(NamedTuple):
    """Two optimizers that are made of the same parameters, and what `backward` goes through that neither they nor any
    other optimizer has: known parameters, or an unknown network."""

    first: Event
    second: Event
    backward: Event
    left: list[Tensor] | Unknown


def twins(facts: Facts) -> Twins | None:
    """The first such optimizers, the same twice by mistake as it seems: each is stepped beside the other."""
    made = list(facts.of("optimizer-made"))
    if len(made) < 2 or any(facts.of("group-added")) or not all(_is_understood(facts, event) for event in made):
        return None
    alike: dict[frozenset[Value], list[Event]] = {}
    for event in made:
        alike.setdefault(_given(facts, event), []).append(event)
    left = _Left(facts, made)
    for first, second in (pair for given, events in alike.items() if given for pair in combinations(events, 2)):
        if first.at.node is second.at.node or not is_on_the_way(first.path, second.path):
            continue  # A branch chooses one of them.
        if _are_stepped_together(facts, first, second):
            later = (backward for backward in facts.of("backward") if backward.clock > second.clock)
            found = next((backward for backward in later if left.behind(backward)), None)
            if found is not None:
                return Twins(first, second, found, left.behind(found) or [])
    return None


def told(facts: Facts, found: Twins) -> tuple[str, list[Step]]:
    """What to say of them, and their story."""
    given = given_to(found.second)
    what = code(facts, given) if given is not None else owners(found.second.parameters)
    left = "another model" if isinstance(found.left, Unknown) else owners(found.left)
    message = (
        f"{_name_of(found.first)} and {_name_of(found.second)} are both made of {what}, and "
        f"{code(facts, found.backward.at.node)} goes through {left}, which no optimizer has and nothing trains. Give "
        "one of them what it is meant for"
    )
    story = [
        Step(place(found.first.at), "the other optimizer is made here"),
        Step(place(found.backward.at), "gradients for what neither has are computed here"),
    ]
    return message, story


def _name_of(made: Event) -> str:
    return f"`{made.value.name}`" if isinstance(made.value, Instance) and made.value.name else "an optimizer"


def _is_understood(facts: Facts, made: Event) -> bool:
    """Is it known whose parameters an optimizer has, be it of models of which nothing else is known?"""
    if not made.strange or _asked(facts, made, "parameters"):
        return True
    given = given_to(made)
    plain = isinstance(given, ast.Call) and all(isinstance(part, (ast.Name, ast.Attribute)) for part in given.args)
    return plain and bool(_asked(facts, made))


def _given(facts: Facts, made: Event) -> frozenset[Value]:
    """The models whose parameters an optimizer is made of, or the parameters themselves."""
    return _asked(facts, made, "parameters") or frozenset(made.parameters)


def _asked(facts: Facts, made: Event, method: str = "") -> frozenset[Value]:
    """The models of which a method gives all that an optimizer has; empty if it may be given others."""
    given = given_to(made)
    if not isinstance(given, ast.Call):
        return frozenset()
    functions = [one for function, _, _ in facts.evaluations(given) for one in options(function)]
    asked = [of_call(function) for function in functions]
    if any(owner is None or (method and name != method) for owner, name in asked):
        return frozenset()
    return frozenset(owner for owner, _ in asked if owner is not None)


def _are_stepped_together(facts: Facts, first: Event, second: Event) -> bool:
    """Are both stepped in the same loop, or in the same function? One may follow the other for a second phase."""
    steps = [[moment.event for moment in order_of(facts).steps.get(made.value, ())] for made in (first, second)]
    return any(_are_together(one, other) for one in steps[0] for other in steps[1])


def _are_together(one: Event, other: Event) -> bool:
    loops, others = loops_of(one.path), loops_of(other.path)
    if loops or others:
        return bool(loops & others)
    return outermost(one) is outermost(other)


class _Left:
    """What backwards go through to train it, and none of the optimizers has that are `made`."""

    def __init__(self, facts: Facts, made: list[Event]) -> None:
        self._facts, self._made = facts, made
        self._known: dict[Event, list[Tensor] | Unknown | None] = {}

    @cached_property
    def _held(self) -> set[Tensor]:
        return {tensor for event in self._made for tensor in event.parameters}

    @cached_property
    def _modules(self) -> set[Unknown]:
        """The models of which nothing else is known that optimizers were made of."""
        asked = (module for event in self._made for module in _asked(self._facts, event))
        return {module for module in asked if isinstance(module, Unknown)}

    @cached_property
    def _may_hold_others(self) -> bool:
        return any(_may_have_known(self._facts, event) for event in self._made)

    def behind(self, backward: Event) -> list[Tensor] | Unknown | None:
        """Known parameters, or an unknown network."""
        if backward not in self._known:
            self._known[backward] = self._find(backward)
        return self._known[backward]

    def _find(self, backward: Event) -> list[Tensor] | Unknown | None:
        root = root_of(backward)
        nodes = set(walk(root, follow="flow")) if root is not None else set()
        reached = backward.info.get("reached", ())
        trained = (leaf for leaf in reached if leaf.requires_grad is True or leaf.node in nodes)
        known = [leaf for leaf in trained if leaf not in self._held and _is_in_training(leaf)]
        if known and not self._may_hold_others:
            return sorted(known, key=_birth)
        for node in walk(root, follow="maybe") if root is not None else ():
            network = network_of(node) if is_call(node) else None
            if not isinstance(network, Unknown) or any(_is_same(network, module) for module in self._modules):
                continue
            if _is_trained(self._facts, network, backward):
                return network
        return None


def _may_have_known(facts: Facts, made: Event) -> bool:
    """May an optimizer have known parameters that it is not seen to be given, those of a model that is not known?"""
    return bool(made.strange) and any(isinstance(one, Unknown) and not one.among for one in _asked(facts, made))


def _birth(leaf: Tensor) -> int:
    return leaf.fields.born


def _is_in_training(leaf: Tensor) -> bool:
    owner = leaf.owner
    if not leaf.is_parameter or owner is None or leaf.fields.get("*escaped"):
        return False
    return not owner.fields.get("*escaped") and owner.fields.get("training") is not FALSE


def _is_same(one: Unknown, other: Unknown) -> bool:
    """Is one the other, converted, or a part of it?"""
    inner: Value | None = one
    while isinstance(inner, Unknown):
        if inner is other or is_converted(inner, other) or is_converted(other, inner):
            return True
        inner = inner.fields.get("of")
    outer = other.fields.get("of")
    return isinstance(outer, Unknown) and _is_same(one, outer)


def _is_trained(facts: Facts, network: Unknown, backward: Event) -> bool:
    """Does the program train an unknown network for all that it does with it, and does nothing else have it, as a model
    does that it is a part of?"""
    same = _before(network)
    if not any(asks_to_train(one) for one in same):
        return False
    if any(one in event.arguments for event in facts.of("unknown-call") for one in same):
        return False
    frozen: object = False
    for event in facts.of("unknown-freeze", "unknown-train-mode"):
        if event.value in same and event.clock < backward.clock:
            frozen = event.flag is not True if event.kind == "unknown-freeze" else frozen or event.mode is False
    return not frozen


def _before(network: Unknown) -> list[Value]:
    """A network, and what it was converted from."""
    found: list[Value] = [network]
    while isinstance(found[-1], Unknown) and isinstance(found[-1].fields.get(VIEWED), Unknown):
        found.append(found[-1].fields[VIEWED])
    return found
