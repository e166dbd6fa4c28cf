"""Ignite's engines: they call a function of the program for each batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.loops import repeat
from gradls.flow.models.registry import function, method
from gradls.flow.values import Instance, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_ENGINE = "ignite.engine.Engine"


@function(_ENGINE, "ignite.engine.engine.Engine")
def engine(run: Run, path: str, call: Call) -> Value:
    made = Instance(run.state, run.lib(_ENGINE), run.at(call.node))
    made.fields["process"] = call.get(0, "process_function") or run.unknown("argument", "process_function")
    return made


@method(_ENGINE, "run")
def run_engine(run: Run, receiver: Instance, call: Call) -> Value:
    """Rounds of `process_function(engine, batch)`."""
    repeat(run, call.node, partial(_round, run, receiver, call))
    return run.unknown("call", "run")


def _round(run: Run, receiver: Instance, call: Call) -> bool:
    from gradls.flow.calls import call_value

    call_value(run, receiver.fields["process"], Call(call.node, [receiver, run.unknown("element", "batch")]))
    return True
