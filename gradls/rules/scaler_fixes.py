"""Fixes of training with a gradient scaler: its calls that are missing."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradls.flow.facts import Event, Facts
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.statement_fixes import (
    all_of,
    block_of,
    brief,
    deleted,
    moved,
    name_of,
    put,
    replaced,
    statement_in,
    with_comment,
)
from gradls.rules.training_order import receiver_of
from gradls.rules.words import place


def mended(facts: Facts, made: Event, own: Sequence[Event], event: Event, other: Event | None) -> list[Fix]:
    """For a call of a scaler that raises because of what is missing before it, or because of `other`, which came
    before."""
    if other is None:
        backwards = [one for one in facts.of("backward") if one.clock < event.clock and one.calls == event.calls]
        is_first = event.kind == "scaler-step" and not any(one.kind == "scale" for one in own)
        return scaled(facts, event, backwards[-1]) if is_first and backwards else []
    if event.kind == "scaler-unscale" and other.kind == "scaler-step" and other.at.node is not event.at.node:
        return moved(facts, event, other, behind=False)
    steps = [one for one in own if one.kind == "scaler-step"]
    if any(one.kind == "scaler-update" for one in own) or other.at.node is not event.at.node or not steps:
        return []
    return updated(facts, steps[0])


def updated(facts: Facts, step: Event) -> list[Fix]:
    """`scaler.update()` behind the last of the steps that stand together with this one."""
    written, statement = receiver_of(step.at.node), facts.statement(step.at.node)
    if written is None or statement is None or step.at.source is not facts.source:
        return []
    block = block_of(facts.source, statement)
    steps = [statement_in(facts.source, block, event.at.node) for event in facts.of("scaler-step")]
    last = [item for item in block if any(item is one for one in steps)]
    return put(facts, last[-1], f"{facts.segment(written)}.update()", behind=True) if last else []


def scaled(facts: Facts, step: Event, backward: Event) -> list[Fix]:
    """`scaler.scale(loss).backward()`, where the statement that throws `scaler.scale(loss)` away goes."""
    call, scaler = backward.at.node, receiver_of(step.at.node)
    loss = receiver_of(call)
    if loss is None or scaler is None or not isinstance(call, ast.Call) or backward.at.source is not facts.source:
        return []
    if facts.function(call) is not facts.function(step.at.node) or call.args:
        return []
    new = f"{facts.segment(scaler)}.scale({facts.segment(loss)})"
    title = f"Scale the loss: `{facts.segment(scaler)}.scale({brief(loss)})`"
    fixes = [replaced(facts, loss, new, title)]
    for event in facts.of("scale"):
        if ast.unparse(event.at.node) == f"{ast.unparse(scaler)}.scale({ast.unparse(loss)})" and isinstance(
            facts.parent(event.at.node), ast.Expr
        ):
            return all_of(title, *fixes, deleted(facts, event))
    return all_of(title, *fixes)


def stepped_by_scaler(facts: Facts, made: Event, step: Event) -> list[Fix]:
    """`scaler.step(optimizer)` for `optimizer.step()`, and `scaler.update()` behind it if nothing calls that."""
    scaler, optimizer = name_of(facts, made.value, place(step.at)), receiver_of(step.at.node)
    scaler = scaler or _scaling(facts, made, step)
    if scaler is None or optimizer is None or not isinstance(step.at.node, ast.Call) or step.at.node.args:
        return []
    new = f"{scaler}.step({facts.segment(optimizer)})"
    title = f"Step with the scaler: `{new}`"
    fixes = [replaced(facts, step.at.node, new, title)]
    if not any(event.value is made.value for event in facts.of("scaler-update")):
        fixes.append(put(facts, step.at.node, f"{scaler}.update()", behind=True))
    return all_of(title, *fixes)


def _scaling(facts: Facts, made: Event, step: Event) -> str | None:
    """What the scaler is called where it scales a loss in the function of a step."""
    for event in facts.of("scale"):
        written = receiver_of(event.at.node)
        if event.value is made.value and facts.function(event.at.node) is facts.function(step.at.node) and written:
            return facts.segment(written)
    return None


def unscaled_before(facts: Facts, step: Event, clip: Event) -> list[Fix]:
    """`scaler.unscale_(optimizer)` before the gradients are clipped, with the names that are in `scaler.step`."""
    scaler, call = receiver_of(step.at.node), step.at.node
    if scaler is None or not isinstance(call, ast.Call) or len(call.args) != 1 or isinstance(call.args[0], ast.Starred):
        return []
    if facts.function(call) is not facts.function(clip.at.node) or clip.at.source is not facts.source:
        return []
    return put(facts, clip.at.node, f"{facts.segment(scaler)}.unscale_({facts.segment(call.args[0])})", behind=False)


def updated_always(facts: Facts, event: Event, update: Event) -> list[Fix]:
    """`scaler.update()` behind the branch that it stands in, which is in the same block as the call that raises."""
    statement = facts.statement(event.at.node)
    block = block_of(facts.source, statement) if statement is not None and event.at.source is facts.source else []
    branch = statement_in(facts.source, block, update.at.node)
    if not isinstance(branch, ast.If):
        return []
    title = f"Update in each round: move `{brief(update.at.node)}` behind the branch"
    call, last = with_comment(facts, update.at.node), facts.statement(update.at.node)
    if len(branch.body) > 1 and branch.body[-1] is last and not branch.orelse:
        build = edits.move_out(Place(facts.source, last), Place(facts.source, branch))
        return [Fix(title, Safety.SUGGESTED, build)]
    return all_of(title, deleted(facts, update), put(facts, branch, call, behind=True))
