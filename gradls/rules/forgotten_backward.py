"""Steps of optimizers for which nothing seems to compute gradients: who else could?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import HELD, Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value
from gradls.rules.training_order import Order, is_vague_optimizer, loops_of, outermost

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
    seen: set[ast.AST] = set()
    for moment in order.moments:
        step = moment.event
        if step.kind not in ("step", "unknown-step") or step.at.node in seen or step.at.source is not facts.source:
            continue
        seen.add(step.at.node)
        if (step.kind == "unknown-step" and not is_vague_optimizer(step)) or getattr(step.at.node, "args", None):
            continue
        clear = next((m.event for m in order.moments if m.kind == "clear" and m.event.value is step.value), None)
        if clear is None or not _is_near(clear, step) or any(_is_near(e, step) for e in facts.of(*_DIFFERENTIATING)):
            continue
        around = _around(facts, step.at.node)
        if around is None or any(_sounds_like_training(part) for part in ast.walk(around)):
            continue
        called = _model_call(facts, step)
        if called is not None:
            yield Empty(step, clear, called)


def _is_near(event: Event, step: Event) -> bool:
    """Does something happen in the loop that a step is in, or in the same function if nobody calls that?"""
    loops = loops_of(step.path)
    if loops:
        return bool(loops_of(event.path) & loops)
    function = outermost(step)
    return function is not None and outermost(event) is function


def _around(facts: Facts, node: ast.AST) -> ast.AST | None:
    """The innermost function that holds a node, or its outermost loop among the module's statements."""
    function = facts.function(node)
    if function is not None:
        return function
    loops = [outer for outer in facts.parents(node) if isinstance(outer, (ast.For, ast.While))]
    return loops[-1] if loops else None


_OTHERS = ("backward", "grad", "train", "learn", "update", "optim", "fit", "closure", "scaler", "step")
_OWN = frozenset(("zero_grad", "no_grad", "clip_grad_norm_", "clip_grad_value_", "requires_grad_", "train"))


def _sounds_like_training(node: ast.AST) -> bool:
    """Is this a call of something that may compute the gradients itself, by its name?"""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", "")).replace("learning_rate", "")
    plain = not node.args and not node.keywords
    return name not in _OWN and not (name == "step" and plain) and any(part in name.lower() for part in _OTHERS)


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
        is_kept = isinstance(facts.parent(event.at.node), ast.Assign) and not _is_method(event.at.node, value)
        if is_model and is_kept and event.arguments:
            return event
    return None


def _is_method(call: ast.AST, function: Value | None) -> bool:
    """Is this the method of something, and no object that is called, which an attribute may hold?"""
    whole = function.fields.get("of") if isinstance(function, Unknown) else None
    return isinstance(getattr(call, "func", None), ast.Attribute) and whole is not None
