"""Methods that a trainer calls, and in which it finds nothing to train with."""

from __future__ import annotations

import ast
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.rules.finding import Place
from gradls.syntax.walk import walk


class Ended(NamedTuple):
    """`name` is that of the method, `last` its last statement."""

    name: str
    last: Place


def computing(facts: Facts, event: Event, *, maybe: bool = False) -> Ended | None:
    """The method that an event stands at, if it computes something with a gradient, or `maybe` with one."""
    method = event.at.node
    if not isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    parts = set(walk(method))
    sought = (True, None) if maybe else (True,)
    if not any(state.requires_grad in sought and state.node in parts for state in facts.states):
        return None
    return Ended(method.name, Place(event.at.source, method.body[-1]))
