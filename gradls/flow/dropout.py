"""When dropout drops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.values import Tensor, Value

if TYPE_CHECKING:
    from gradls.autograd.ops import Op
    from gradls.flow.run import Run


def drops(run: Run, op: Op, bound: dict[str, Value]) -> bool | None:
    """Does an operation with these arguments drop anything? True of all that are no dropout.

    With the rate 0, and outside of training, the result of a dropout is the very tensor that went in.
    """
    if "dropout" not in op.name:
        return True
    training, rate = bound.get("training") or bound.get("train"), bound.get("p")
    mode = True if training is None else truth.truth(run, training)
    rated = True if rate is None else truth.truth(run, rate)
    return False if False in (mode, rated) else (True if mode and rated else None)


def note(run: Run, result: Tensor) -> None:
    """Numbers were drawn for a result, others each time that it is computed."""
    run.state.set(result.node.fields, "draws", True)
