"""Models that a loop puts into evaluation mode for the training of each round as well as behind it: that is meant for
one of the two."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.unknown_modules import is_converted
from gradls.flow.values import MORE, Instance, Tensor, Unknown, Value
from gradls.rules.mode_switches import Numbered, between, computes_with, root_of, switches_of, uses_of_models
from gradls.rules.registration import leaves_of
from gradls.rules.training_order import Moment, loops_of, order_of, rounds_of


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
        if event.info.get("frozen") or _is_partly_frozen(facts, model):
            continue
        mine = switches.about(event)
        if any(other.mode is not False for _, other in mine):
            told.add(model)
            continue
        found = _trained_after(facts, number, event, mine, uses)
        if found is not None:
            told.add(model)
            yield found


def _is_partly_frozen(facts: Facts, model: Value) -> bool:
    """Does the program choose among the parameters of a model by their names, and freeze some? A part of it is trained
    then on what the others give, which is meant to stay as it is."""
    frozen = [event.value for event in facts.of("unknown-partly-frozen") if event.value is not None]
    if isinstance(model, Unknown) and model.origin == "branches":
        return bool(frozen)  # It may be any of them.
    return any(root_of(one) is root_of(model) for one in frozen)


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
                mine = _may_be_of(facts, moment, event.value)
            if mine:
                return moment.kind == "step"
    return False


def _may_be_of(facts: Facts, moment: Moment, model: Value | None) -> bool:
    """May this be about parameters of a model of which none is known? An optimizer that was made of other things only,
    such as the input of an attack, has none of them."""
    optimizer = moment.event.value
    if not isinstance(optimizer, Instance):
        return True
    made = order_of(facts).made.get(optimizer)
    if made is not None and made.parameters and not made.strange:
        return False  # It has those of a module that is known, whatever else that holds.
    modules = optimizer.data.get("modules")
    if modules is None:
        return bool(optimizer.fields.get(MORE, True))
    return any(one is model or is_converted(one, model) or is_converted(model, one) for one in modules)


def is_of_one_round(facts: Facts, event: Event) -> bool:
    """Does this happen in one round of a loop only, which may be the last, by a test of what the loop counts?"""
    for at in (event.at, *(at for at, _ in event.callers())):
        for loop, tests in _tests_in_loops(facts, at.node):
            counted = _counted_by(loop)
            return any(_is_equality(inner, counted) for test in tests for inner in ast.walk(test))
    return False


def ended_by(facts: Facts, event: Event) -> set[int]:
    """The loops, by their identity, of which this may be the last round: a test around it compares what they count with
    something that is no fixed number, as `epoch == epochs - 1`."""
    loops = {getattr(one.loop, "statement", None): id(one.loop) for one in rounds_of(event.path)}
    ended: set[int] = set()
    for at in (event.at, *(at for at, _ in event.callers())):
        for loop, tests in _tests_in_loops(facts, at.node):
            if loop in loops and any(_is_last(inner, _counted_by(loop)) for test in tests for inner in ast.walk(test)):
                ended.add(loops[loop])
    return ended


def _tests_in_loops(facts: Facts, node: ast.AST) -> Iterator[tuple[ast.For, list[ast.expr]]]:
    """The `for` loops around something in its function, with the tests in each that lead to it."""
    tests: list[ast.expr] = []
    inner = node
    for part in facts.parents(node):
        if isinstance(part, ast.If) and inner not in part.orelse:
            tests.append(part.test)
        elif isinstance(part, ast.For):
            yield part, tests
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        inner = part


def _counted_by(loop: ast.For) -> set[str]:
    return {name.id for name in ast.walk(loop.target) if isinstance(name, ast.Name)}


def _is_last(test: ast.AST, counted: set[str]) -> bool:
    if not _is_equality(test, counted):
        return False
    assert isinstance(test, ast.Compare)
    return not any(isinstance(side, ast.Constant) for side in (test.left, *test.comparators))


def _is_equality(test: ast.AST, counted: set[str]) -> bool:
    if not isinstance(test, ast.Compare) or not all(isinstance(one, ast.Eq) for one in test.ops):
        return False
    return any(isinstance(side, ast.Name) and side.id in counted for side in (test.left, *test.comparators))
