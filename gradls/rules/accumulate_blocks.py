"""Blocks of accelerate in which the gradients of several rounds add up: `with accelerator.accumulate(model):`.

Its `backward()` divides the loss, and what it has prepared of an optimizer steps and clears in the last round only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
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
        if not own or event.node is None or block.node not in facts.parents(call):
            continue
        functions = [record[0] for record in facts.evaluations(call)]
        if functions and not any(_is_of_accelerator(one) for one in functions) and not is_divided(event):
            yield event


def _is_of_accelerator(function: Value) -> bool:
    receiver = function.receiver if isinstance(function, Bound) else None
    return isinstance(receiver, Instance) and receiver.path == ACCELERATOR


def clears_of_models(facts: Facts, block: Block) -> Iterator[ast.Call]:
    """The calls of `model.zero_grad()` in each round of a block."""
    for call, records in facts.called("zero_grad"):
        if not isinstance(call.func, ast.Attribute) or not _stands_plainly_in(facts, call, block.node):
            continue
        receivers = [record[0].receiver for record in records if isinstance(record[0], Bound)]
        named = facts.segment(call.func.value) in block.models
        if receivers and all(named or (isinstance(one, Instance) and is_module(one) is True) for one in receivers):
            yield call


def _stands_plainly_in(facts: Facts, node: ast.AST, block: ast.With) -> bool:
    """Is it run whenever the block is, as far as the block itself says?"""
    for outer in facts.parents(node):
        if outer is block:
            return True
        if not isinstance(outer, (ast.Expr, ast.With)):
            return False
    return False
