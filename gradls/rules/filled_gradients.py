"""What happens to the gradients of an optimizer's parameters before it steps."""

from __future__ import annotations

from gradls.flow.values import Tensor
from gradls.rules.training_order import Moment, may_reach_more


def concerns(moment: Moment, held: tuple[Tensor, ...]) -> bool:
    """May it be about the gradients of some of these parameters?"""
    return moment.tensors is None or not moment.tensors.isdisjoint(held) or may_reach_more(moment)


def since_filled(moments: list[Moment], end: int, held: tuple[Tensor, ...]) -> list[Moment]:
    """The backwards and clears of these parameters before the step at the place `end`, back to anything else that is
    about them, and to a backward that does not certainly fill them."""
    found: list[Moment] = []
    for index in range(end - 1, -1, -1):
        moment = moments[index]
        if not concerns(moment, held):
            continue
        if moment.kind not in ("backward", "clear"):
            break
        if moment.kind == "backward" and (not moment.tensors or moment.tensors.isdisjoint(held)):
            break
        found.append(moment)
    return found[::-1]
