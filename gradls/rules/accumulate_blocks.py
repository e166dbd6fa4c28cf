"""Blocks of accelerate in which the gradients of several rounds add up: `with accelerator.accumulate(model):`.

Its `backward()` divides the loss, and what it has prepared of an optimizer steps and clears in the last round only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.models.accelerators import ACCELERATOR, STEPS
from gradls.flow.values import Bound, Host, Instance, Value
from gradls.rules.training_order import is_divided


class Block(NamedTuple):
    """Where several rounds are one step. `models` are what it was given, as it is written."""

    node: ast.With
    accelerator: str
    models: tuple[str, ...]
    rounds: int | None
    """How many they are, if that is known."""


def accumulate_blocks(facts: Facts) -> Iterator[Block]:
    for node, records in facts.called("accumulate"):
        item = facts.parent(node)
        block = facts.parent(item) if isinstance(item, ast.withitem) else None
        if not isinstance(block, ast.With) or not isinstance(node.func, ast.Attribute):
            continue
        rounds = [_rounds(record[0]) for record in records]
        if rounds and 1 not in rounds:
            models = tuple(facts.segment(argument) for argument in node.args)
            known = rounds[0] if len(set(rounds)) == 1 else None
            yield Block(block, facts.segment(node.func.value), models, known)


def _rounds(function: Value) -> int | None:
    """How many rounds an Accelerator makes one step of: one, unless it is told."""
    receiver = function.receiver if isinstance(function, Bound) else None
    if not isinstance(receiver, Instance) or receiver.path != ACCELERATOR:
        return 1
    given = receiver.data.get(STEPS)
    if isinstance(given, Host):
        return given.value if isinstance(given.value, int) else None if not given.known else 1
    return 1 if given is None else None


def plain_backwards(facts: Facts, block: Block) -> Iterator[Event]:
    """The calls of `loss.backward()` in a block, of a loss that is divided by nothing."""
    for event in facts.of("backward"):
        call = event.at.node
        own = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "backward"
        if not own or block.node not in facts.parents(call) or (event.node is None and _may_be_divided(block, call)):
            continue
        functions = [record[0] for record in facts.evaluations(call)]
        divided = event.node is not None and is_divided(event)
        if functions and not divided and not any(_is_of_accelerator(one) for one in functions):
            yield event


def _may_be_divided(block: Block, call: ast.AST) -> bool:
    """Is the loss, of which nothing is known, anything but what a call or an attribute of its result has given?"""
    owner = call.func.value if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None
    if not isinstance(owner, ast.Name):
        return not isinstance(owner, ast.Attribute)
    bound = [part for part in ast.walk(block.node) if _binds(part, owner.id)]
    given = [part.value for part in bound if isinstance(part, ast.Assign)]
    return not bound or len(given) < len(bound) or any(not isinstance(one, (ast.Call, ast.Attribute)) for one in given)


def _binds(part: ast.AST, name: str) -> bool:
    targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
    return any(isinstance(one, ast.Name) and one.id == name for target in targets if target for one in ast.walk(target))


def _is_of_accelerator(function: Value) -> bool:
    receiver = function.receiver if isinstance(function, Bound) else None
    return isinstance(receiver, Instance) and receiver.path == ACCELERATOR


def clears_of_models(facts: Facts, block: Block) -> Iterator[ast.Call]:
    """The calls of `model.zero_grad()` in each round of a block."""
    for call, records in facts.called("zero_grad"):
        if not isinstance(call.func, ast.Attribute) or not _stands_plainly_in(facts, call, block.node):
            continue
        if facts.segment(call.func.value) in block.models and any(isinstance(record[0], Bound) for record in records):
            yield call


def _stands_plainly_in(facts: Facts, node: ast.AST, block: ast.With) -> bool:
    """Is it run whenever the block is, as far as the block itself says?"""
    for outer in facts.parents(node):
        if outer is block:
            return True
        if not isinstance(outer, (ast.Expr, ast.With)):
            return False
    return False
