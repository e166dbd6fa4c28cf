"""Calls of the `module` of something, and not of itself, to compute what is trained: what wraps that is bypassed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import compatible
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Unknown, Value
from gradls.rules.loss_arguments import of_call
from gradls.rules.training_order import STEPS, loops_of
from gradls.rules.unknown_networks import root_of


class Bypass(NamedTuple):
    """`call` is of the module of `wrapper`, as it is `written`; `backward` goes through it, and `step` applies that."""

    wrapper: Value
    written: ast.expr
    call: Event
    backward: Event
    step: Event


def bypasses(facts: Facts) -> Iterator[Bypass]:
    """The first such call of each wrapper."""
    told: set[Value] = set()
    for call, written in _calls_of_modules(facts):
        wrapper = _wrapper(facts, call)
        if wrapper is None or wrapper in told or _is_called_itself(facts, wrapper, call):
            continue
        backward = next((event for event in facts.of("backward") if _goes_through(event, call)), None)
        step = _step_after(facts, backward) if backward is not None else None
        if backward is not None and step is not None:
            told.add(wrapper)
            yield Bypass(wrapper, written, call, backward, step)


def _calls_of_modules(facts: Facts) -> list[tuple[Event, ast.expr]]:
    found = []
    for event in facts.of("unknown-call", "module-call", "forward"):
        function = event.at.node.func if isinstance(event.at.node, ast.Call) else None
        if isinstance(function, ast.Attribute) and function.attr == "module" and event.info.get("grad") is not False:
            found.append((event, function.value))
    return found


def _wrapper(facts: Facts, call: Event) -> Value | None:
    """What has the module that is called: something unknown, or a wrapper that is known, of an unknown module."""
    wrapped = [made.value for made in facts.of("distributed-made") if _inner(made.value) is call.value]
    if wrapped:
        return wrapped[0]
    owner, name = of_call(call.value) if isinstance(call.value, Unknown) else (None, "")
    return owner if isinstance(owner, Unknown) and name == "module" else None


def _inner(wrapper: Value | None) -> Value | None:
    return wrapper.fields.get("module") if isinstance(wrapper, Instance) else None


def _is_called_itself(facts: Facts, wrapper: Value, call: Event) -> bool:
    """Is the wrapper called besides to compute what has a graph, or given to what differentiates what it gives?"""
    for event in facts.of("unknown-call", "forward"):
        if event.info.get("grad") is False or not compatible(event.path, call.path):
            continue
        given = event.kind == "unknown-call" and wrapper in event.arguments
        if event.value is wrapper or (given and any(_goes_through(one, event) for one in facts.of("backward"))):
            return True
    return False


def _goes_through(backward: Event, call: Event) -> bool:
    if backward.clock < call.clock or not compatible(call.path, backward.path):
        return False
    root = root_of(backward)
    nodes = walk(root, follow="maybe") if root is not None else ()
    return any(node.at is not None and node.at.node is call.at.node for node in nodes)


def _step_after(facts: Facts, backward: Event) -> Event | None:
    loops = loops_of(backward.path)
    steps = (event for event in facts.of(*STEPS, "scaler-step") if event.clock > backward.clock)
    return next((event for event in steps if not loops or loops & loops_of(event.path)), None)
