"""Ignite's engines: they call a function of the program for each batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.loops import repeat
from gradls.flow.models.registry import function, method
from gradls.flow.values import NONE, Instance, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_ENGINE = "ignite.engine.Engine"
_PROCESS = ("process",)
"""The field of an engine with the function that it calls."""


@function(_ENGINE, "ignite.engine.engine.Engine")
def engine(run: Run, path: str, call: Call) -> Value:
    made = Instance(run.state, run.lib(_ENGINE), run.at(call.node))
    initialize(run, made, call)
    return made


@method(_ENGINE, "__init__")
def initialize(run: Run, receiver: Instance, call: Call) -> Value:
    given = call.get(0, "process_function")
    receiver.fields[_PROCESS] = given if given is not None else run.unknown("argument", "process_function")
    return NONE


@method(_ENGINE, "run")
def run_engine(run: Run, receiver: Instance, call: Call) -> Value:
    """Rounds of `process_function(engine, batch)`."""
    repeat(run, call.node, partial(_round, run, receiver, call))
    return run.unknown("call", "run")


def _round(run: Run, receiver: Instance, call: Call) -> bool:
    from gradls.flow.calls import call_value

    process = receiver.fields.get(_PROCESS, run.unknown("attribute", "process_function"))
    call_value(run, process, Call(call.node, [receiver, run.unknown("element", "batch")]))
    return True
