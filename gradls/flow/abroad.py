"""Calls that leave the file under analysis for another one, and calls that come back from there: what each may cost."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gradls.flow.run import MOST_STEPS_ABROAD, MOST_STEPS_BESIDES, OutOfBudget
from gradls.flow.values import Bound, Class, Function, Instance, Mapping, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.chapters import Chapter
    from gradls.flow.run import Run

IN_VAIN = 1_000
"""A function that was followed in vain for so many steps, by what this file does, is not followed any more."""


def leave(run: Run, function: Function, given: Iterable[Value], body: Callable[[], Value]) -> Value | None:
    """Run `body`, a call of a function of another file that is given these values.

    None if that takes too long to follow, or did so before; then it is as if nothing had happened.
    """
    chapter, node = run.chapter, function.node
    if run.abroad <= 0 and not isinstance(node, ast.Lambda):
        return None
    if chapter.tried.setdefault(node, node in run.in_vain) or node in chapter.in_vain:
        return None
    mark, limit, home, before = run.state.mark(), run.limit, run.home, run.steps
    kept = run.frame, run.path, dict(run.mode), run.isolated, run.caught, run.rough
    executed, events = len(run.executed), len(run.events)
    follow = run.files[function.source].about_tensors or any(_may_hold_tensors(run, value) for value in given)
    run.home = limit
    run.limit = min(limit, before + min(MOST_STEPS_ABROAD if follow else MOST_STEPS_BESIDES, run.abroad))
    try:
        return body()
    except OutOfBudget:
        if run.steps > limit:
            raise
        run.state.undo(mark)
        del run.events[events:]
        run.forget_executed(executed)
        run.frame, run.path, mode, run.isolated, run.caught, run.rough = kept
        run.mode.update(mode)
        if run.steps - before >= IN_VAIN:
            chapter.in_vain.add(node)
        return None
    finally:
        run.limit, run.home = limit, home
        run.abroad -= run.steps - before


def would_try_the_same(run: Run, chapter: Chapter) -> bool:
    """Have the chapters before one followed in vain what they had when it was run, as far as it calls that?"""
    return all((node in run.in_vain) is left_alone for node, left_alone in chapter.tried.items())


def come_back(run: Run, body: Callable[[], Value]) -> Value:
    """Run `body`, a call from another file of a function of this one.

    It may take as long as if it had been called here.
    """
    limit, before = run.limit, run.steps
    run.limit = run.home
    try:
        return body()
    finally:
        spent = run.steps - before
        run.limit = min(limit + spent, run.home)
        run.abroad += spent


def _may_hold_tensors(run: Run, value: Value) -> bool:
    if isinstance(value, (Sequence, Mapping)):
        parts = value.elements if isinstance(value, Sequence) else value.entries.values()
        return any(_may_hold_tensors(run, part) for part in list(parts)[:8])
    if isinstance(value, Instance) and isinstance(value.cls, Class):
        return run.files[value.cls.source].about_tensors
    return isinstance(value, (Tensor, Instance, Function, Bound, Class))
