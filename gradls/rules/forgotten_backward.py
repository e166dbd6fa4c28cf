"""Steps of optimizers for which nothing seems to compute gradients: who else could?"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import HELD, Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value
from gradls.rules.training_order import (
    CLEARS,
    Moment,
    Order,
    is_on_the_way,
    is_vague_optimizer,
    loops_of,
    outermost,
)

_DIFFERENTIATING = ("backward", "grad-call", "functional")


def may_differentiate(value: Value, nested: int = 0) -> bool:
    """Could unknown code that is given this call backward for parameters that are known? It needs the model, a function
    that has it, or what was computed with it. Something unknown has that if it was computed from it; what unknown code
    was given before is looked at where that happened."""
    if isinstance(value, Tensor):
        return value.requires_grad is not False
    if isinstance(value, Unknown):
        return bool(value.among) or _is_computed_with_parameters(value)
    if isinstance(value, (Sequence, Mapping)) and nested < 8:
        parts = value.elements if isinstance(value, Sequence) else [*value.entries.values(), value.rest]
        return any(may_differentiate(part, nested + 1) for part in parts if part is not None)
    if isinstance(value, Instance) and isinstance(value.cls, Lib):
        return is_module(value) is not False or HELD in value.fields
    return not isinstance(value, (Host, Lib))


def _is_computed_with_parameters(value: Unknown) -> bool:
    root = value.fields.get(("node",))
    if root is None:
        return False
    return any(node.leaf is not None and node.leaf.requires_grad is not False for node in walk(root, follow="maybe"))


class Empty(NamedTuple):
    """The `step` of an optimizer in the loop, or the function, in which it is cleared and the model is `called`, where
    nothing that is seen computes gradients."""

    step: Event
    clear: Event
    called: Event


def empty_steps(facts: Facts, order: Order) -> Iterator[Empty]:
    """The steps before which no backward is seen, though not all is known of what is called before them."""
    if facts.unfinished:
        return
    for node, steps in _cleared_steps(facts, order).items():
        clear, step = steps[-1]
        around = _around(facts, node, clear)
        if not _is_near(clear, step) or around is None or _may_train_between(facts, around, clear, step):
            continue
        called = _model_call(facts, step)
        if called is not None:
            yield Empty(step, clear, called)


def _cleared_steps(facts: Facts, order: Order) -> dict[ast.AST, list[tuple[Event, Event]]]:
    """For each call of `step()` by itself, every clear and the step after it, if no gradients are computed between them
    and none have been computed before that no step has applied."""
    computed = [number for number, _ in facts.numbered(*_DIFFERENTIATING)]
    cleared: dict[object, Moment] = {}
    found: dict[ast.AST, list[tuple[Event, Event]]] = {}
    busy: set[ast.AST] = set()
    waiting = False
    for moment in order.moments:
        event = moment.event
        if moment.kind == "clear" and event.kind in CLEARS:
            if not waiting:
                cleared[event.value] = moment
            else:
                cleared.pop(event.value, None)
        elif moment.kind == "backward":
            waiting = True
        elif moment.kind == "step":
            waiting = False
            clear = _last_of(order, cleared, event)
            since = bisect_right(computed, clear.number if clear is not None else -1)
            if since < bisect_left(computed, moment.number):
                busy.add(event.at.node)
            elif clear is not None and not is_on_the_way(clear.event.path, event.path):
                busy.add(event.at.node)  # It may not have been cleared.
            elif clear is not None and _is_alone(event) and event.at.source is facts.source:
                found.setdefault(event.at.node, []).append((clear.event, event))
    return {node: steps for node, steps in found.items() if node not in busy}


def _last_of(order: Order, cleared: dict[object, Moment], step: Event) -> Moment | None:
    """The last clear of an optimizer, or of a module with all that it holds."""
    held = order.parameters.get(step.value, ()) if isinstance(step.value, Instance) else ()
    of_all = [m for m in cleared.values() if held and m.tensors is not None and m.tensors.issuperset(held)]
    own = cleared.get(step.value)
    return max([*of_all, own] if own is not None else of_all, key=lambda moment: moment.number, default=None)


def _is_alone(step: Event) -> bool:
    """Does an optimizer step, as far as is known, by itself and without a closure?"""
    known = step.kind == "step" or (step.kind == "unknown-step" and is_vague_optimizer(step))
    return known and not getattr(step.at.node, "args", None)


def _is_near(event: Event, step: Event) -> bool:
    """Does something happen in the loop that a step is in, or in the same function if nobody calls that?"""
    loops = loops_of(step.path)
    if loops:
        return bool(loops_of(event.path) & loops)
    function = outermost(step)
    return function is not None and outermost(event) is function


def _around(facts: Facts, node: ast.AST, clear: Event) -> ast.AST | None:
    """The innermost loop or function that holds a step and, as far as it is written there, its clear."""
    for outer in facts.parents(node):
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return outer
        if isinstance(outer, (ast.For, ast.While)) and _seen_from(facts, outer, clear) is not None:
            return outer
    return None


def _seen_from(facts: Facts, around: ast.AST, event: Event) -> ast.AST | None:
    """The node in a statement at which something happens: that of the event, or of a call that leads to it."""
    ways = [event.at, *(at for at, _ in event.callers())]
    return next((at.node for at in ways if at.source is facts.source and around in facts.parents(at.node)), None)


def position(node: ast.AST) -> tuple[int, int]:
    """Where a node begins in the text."""
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


_OTHERS = ("backward", "grad", "train", "learn", "update", "optim", "fit", "closure", "scaler", "step")
_UPDATES = frozenset(("update", "step"))
_OWN = frozenset(("zero_grad", "no_grad", "clip_grad_norm_", "clip_grad_value_", "requires_grad_", "train"))


def _may_train_between(facts: Facts, around: ast.AST, clear: Event, step: Event) -> bool:
    """Is anything that may compute the gradients itself, by its name, called between a clear and the step behind it?
    Or does anything put them in their place by hand?"""
    cleared = _seen_from(facts, around, clear)
    after, before = position(cleared) if cleared is not None else None, position(step.at.node)
    for part in ast.walk(around):
        if isinstance(part, ast.Attribute) and part.attr in ("grad", "_grad"):
            return True
        if not isinstance(part, ast.Call) or not _sounds_like_training(part):
            continue
        if _is_between(position(part), after, before) and not _is_told_a_number(facts, part):
            return True
    return False


def _is_between(here: tuple[int, int], after: tuple[int, int] | None, before: tuple[int, int]) -> bool:
    """Is a place behind one and before the other, if need be in the next round?"""
    if after is None:
        return True
    return after < here < before if after < before else here < before or here > after


def _sounds_like_training(call: ast.Call) -> bool:
    """Is this a call of something that may compute the gradients itself, by its name?"""
    name = getattr(call.func, "attr", getattr(call.func, "id", "")).replace("learning_rate", "")
    if name in _UPDATES and all(isinstance(given, ast.Constant) for given in call.args) and not call.keywords:
        return False  # What shows progress or keeps an average of the weights.
    return name not in _OWN and any(part in name.lower() for part in _OTHERS)


def _is_told_a_number(facts: Facts, call: ast.Call) -> bool:
    """Is what is called given the number of a tensor, as what keeps an average is, and nothing else that could
    be differentiated?"""
    records = facts.evaluations(call)
    for _, given, _ in records:
        values = given.values if given is not None else ()
        if not any(isinstance(v, Host) and v.node is not None for v in values):
            return False
        if not all(isinstance(v, Host) or (isinstance(v, Unknown) and v.plain) for v in values):
            return False
    return bool(records)


def _model_call(facts: Facts, step: Event) -> Event | None:
    """The first call near a step of a module, or of something unknown that is given something and whose result is
    kept, as a model is called."""
    for event in facts.of("forward", "unknown-call"):
        if not _is_near(event, step) or event.clock > step.clock or event.at.source is not facts.source:
            continue
        if event.kind == "forward":
            return event
        value = event.value
        is_model = isinstance(value, Unknown) and value.origin in ("argument", "attribute", "call") and event.grad
        statement = facts.statement(event.at.node)
        # What is made for an attribute, an optimizer or a buffer, is no prediction.
        is_kept = isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Attribute)
        is_kept = is_kept and not _is_method(event.at.node, value)
        if is_model and is_kept and event.arguments:
            return event
    return None


def _is_method(call: ast.AST, function: Value | None) -> bool:
    """Is this the method of something, and no object that is called, which an attribute may hold?"""
    whole = function.fields.get("of") if isinstance(function, Unknown) else None
    return isinstance(getattr(call, "func", None), ast.Attribute) and whole is not None
