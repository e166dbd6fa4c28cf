"""Models that a loop puts into evaluation mode for the training of each round as well as behind it: that is meant for
one of the two."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.unknown_modules import is_converted
from gradls.flow.values import MORE, Instance, Tensor, Value
from gradls.rules.mode_switches import Numbered, between, computes_with, switches_of, uses_of_models
from gradls.rules.registration import leaves_of
from gradls.rules.training_order import Moment, loops_of, order_of


class Untrained(NamedTuple):
    """`event` is the call of `eval()` that comes before `backward` in each round, `again` the one that comes later."""

    event: Event
    backward: Event
    again: Event


def evaluated_twice(facts: Facts) -> Iterator[Untrained]:
    """The models that are trained in evaluation mode in every round, each once."""
    switches = switches_of(facts)
    if len(switches.all) < 2 or not any(facts.of("backward")):
        return
    uses = uses_of_models(facts)
    told: set[Value] = set()
    for number, event in switches.all:
        model = event.value
        if event.mode is not False or model is None or model in told or not loops_of(event.path):
            continue
        if event.info.get("frozen"):
            continue
        mine = switches.about(event)
        if any(other.mode is not False for _, other in mine):
            told.add(model)
            continue
        found = _trained_after(facts, number, event, mine, uses)
        if found is not None:
            told.add(model)
            yield found


def _trained_after(facts: Facts, number: int, event: Event, mine: Numbered, uses: Numbered) -> Untrained | None:
    """The backward that trains the model before its mode is set again, in the same round, and the call of `eval()`
    elsewhere that follows it."""
    loops = loops_of(event.path)
    later = list(between(number, len(facts.events), mine))
    elsewhere = [other for _, other in later if other.at.node is not event.at.node and loops & loops_of(other.path)]
    if not elsewhere:
        return None
    used = False
    for index, other in between(number, later[0][0], uses):
        used = used or computes_with(other, event.value)
        if other.kind == "backward" and loops & loops_of(other.path) and _trains(facts, index, other, event, used):
            again = next((one for one in elsewhere if one.clock > other.clock), None)
            return Untrained(event, other, again) if again is not None else None
    return None


def _trains(facts: Facts, number: int, backward: Event, event: Event, used: bool) -> bool:
    """Does a step apply what a backward gives the parameters of the model, as far as these are known?"""
    known = event.kind == "train-mode" and not event.open
    leaves: frozenset[Tensor] | None = None
    if isinstance(event.value, Instance):
        leaves = (
            frozenset(leaf for leaf in leaves_of(event.value) if leaf.requires_grad is not False) & backward.reached
        )
    if not leaves and (known or not used):
        return False
    for moment in order_of(facts).between(number, len(facts.events)):
        if moment.kind in ("step", "clear"):
            if leaves:
                mine = not moment.tensors or not moment.tensors.isdisjoint(leaves)
            else:
                mine = _may_be_of(moment, event.value)
            if mine:
                return moment.kind == "step"
    return False


def _may_be_of(moment: Moment, model: Value | None) -> bool:
    """May this be about parameters of a model of which none is known? An optimizer that was made of other things only,
    such as the input of an attack, has none of them."""
    optimizer = moment.event.value
    if not isinstance(optimizer, Instance):
        return True
    modules = optimizer.data.get("modules")
    if modules is None:
        return bool(optimizer.fields.get(MORE, True))
    return any(one is model or is_converted(one, model) or is_converted(model, one) for one in modules)


def is_of_one_round(facts: Facts, event: Event) -> bool:
    """Does this happen in one round of a loop only, which may be the last, by a test of what the loop counts?"""
    for at in (event.at, *(at for at, _ in event.callers())):
        tests: list[ast.expr] = []
        for part in facts.parents(at.node):
            if isinstance(part, ast.If):
                tests.append(part.test)
            elif isinstance(part, ast.For):
                counted = {name.id for name in ast.walk(part.target) if isinstance(name, ast.Name)}
                return any(_is_equality(inner, counted) for test in tests for inner in ast.walk(test))
            elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                break
    return False


def _is_equality(test: ast.AST, counted: set[str]) -> bool:
    if not isinstance(test, ast.Compare) or not all(isinstance(one, ast.Eq) for one in test.ops):
        return False
    return any(isinstance(side, ast.Name) and side.id in counted for side in (test.left, *test.comparators))
