"""Models that a loop puts into evaluation mode for the training of each round as well as behind it: that is meant for
one of the two."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.unknown_modules import is_converted
from gradls.flow.values import MORE, Instance, Tensor, Unknown, Value
from gradls.rules.registration import leaves_of
from gradls.rules.training_order import Moment, loops_of, order_of


class Untrained(NamedTuple):
    """`event` is the call of `eval()` that comes before `backward` in each round, `again` the one that comes later."""

    event: Event
    backward: Event
    again: Event


def evaluated_twice(facts: Facts) -> Iterator[Untrained]:
    """The models that are trained in evaluation mode in every round, each once."""
    switches = facts.numbered("train-mode", "unknown-train-mode")
    if len(switches) < 2 or not any(facts.of("backward")):
        return
    uses = facts.numbered("backward", *_CALLS)
    told: set[Value] = set()
    for number, event in switches:
        model = event.value
        if event.mode is not False or model is None or model in told or not loops_of(event.path):
            continue
        if event.info.get("frozen"):
            continue
        mine = [(index, other) for index, other in switches if _concerns(other, event)]
        if any(other.mode is not False for _, other in mine):
            told.add(model)
            continue
        found = _trained_after(facts, number, event, mine, uses)
        if found is not None:
            told.add(model)
            yield found


def _trained_after(
    facts: Facts, number: int, event: Event, mine: list[tuple[int, Event]], uses: list[tuple[int, Event]]
) -> Untrained | None:
    """The backward that trains the model before its mode is set again, in the same round, and the call of `eval()`
    elsewhere that follows it."""
    loops = loops_of(event.path)
    later = [(index, other) for index, other in mine if index > number]
    end = later[0][0] if later else number
    elsewhere = [other for _, other in later if other.at.node is not event.at.node and loops & loops_of(other.path)]
    used, backward = False, None
    start = bisect_right(uses, number, key=_number_of) if elsewhere else len(uses)
    for index, other in islice(uses, start, bisect_left(uses, end, lo=start, key=_number_of)):
        used = used or computes_with(other, event.value)
        if other.kind == "backward" and loops & loops_of(other.path) and _trains(facts, index, other, event, used):
            backward = other
            break
    again = next((one for one in elsewhere if backward is not None and one.clock > backward.clock), None)
    return Untrained(event, backward, again) if backward is not None and again is not None else None


def _number_of(use: tuple[int, Event]) -> int:
    return use[0]


_CALLS = ("unknown-call", "module-call", "forward")


def computes_with(event: Event, model: Value | None) -> bool:
    """Is a model called here to compute something that is recorded, itself or by what it is given to?"""
    function = event.value
    if event.kind != "unknown-call":
        return function is model and event.kind != "backward"
    if event.grad is False:
        return False
    method = isinstance(function, Unknown) and function.fields.get("of") is model
    return function is model or ((method or model in event.arguments) and len(event.arguments) > (not method))


def _concerns(other: Event, event: Event) -> bool:
    """Does it set the mode of a part of the same model, or of what may hold it?"""
    if event.kind == "train-mode":
        return other.kind == "train-mode" and not set(other.modules).isdisjoint(event.modules)
    if other.kind == "train-mode":
        return any(event.value in module.fields.values() for module in other.modules)
    return (
        other.value is event.value or is_converted(event.value, other.value) or is_converted(other.value, event.value)
    )


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
