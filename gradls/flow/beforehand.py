"""Running something as if that had been done before all that was run until now: what an import does, or what made an
object that is only declared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gradls.flow.run import OutOfBudget

if TYPE_CHECKING:
    from gradls.flow.run import Frame, Run


@contextmanager
def beforehand(run: Run, most_steps: int, frame: Frame | None = None, alone: bool = False) -> Iterator[None]:
    """A block that runs in the modes of the beginning, in `frame` if that is given.

    No branch that was taken since undoes what it does, nothing that it does counts as something that happened here, and
    if it takes more than `most_steps` steps it just ends. `alone` as in `Run`.
    """
    around = run.frame, run.path, run.stack, run.alone, run.limit
    counts = run.isolated, run.caught, run.expected, run.rough, run.casting, run.autocast, run.forwards, run.copying
    mode, outside, events = dict(run.mode), dict(run.outside), len(run.events)
    mark, clock = len(run.state.trail), run.state.clock
    run.frame, run.path, run.stack, run.alone = frame or run.frame, None, [], alone
    run.isolated = run.caught = run.expected = run.rough = run.casting = run.autocast = run.forwards = run.copying = 0
    steps = run.steps
    run.limit = run.steps + most_steps
    run.mode.update({"grad": True, "inference": False, "at": None})
    run.state.clock = 0
    try:
        yield
    except OutOfBudget:
        pass
    finally:
        # Who happens to ask first does not pay for it.
        run.steps = steps
        run.frame, run.path, run.stack, run.alone, run.limit = around
        (
            run.isolated, run.caught, run.expected, run.rough, run.casting, run.autocast, run.forwards, run.copying,
        ) = counts  # fmt: skip
        run.mode.update(mode)
        run.outside.update(outside)
        run.state.clock = max(clock, run.state.clock)
        del run.state.trail[mark:]
        del run.events[events:]
