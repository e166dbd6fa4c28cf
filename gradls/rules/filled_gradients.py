"""What happens to the gradients of an optimizer's parameters before it steps."""

from __future__ import annotations

from gradls.flow.values import Tensor
from gradls.rules.training_order import Moment, Order


def since_filled(order: Order, step: Moment, held: frozenset[Tensor]) -> list[Moment]:
    """The backwards and clears of these parameters before a step, back to anything else that is about them, and to a
    backward that does not certainly fill them."""
    found: list[Moment] = []
    for moment in order.before(step, held):
        if moment.kind not in ("backward", "clear"):
            break
        if moment.kind == "backward" and (not moment.tensors or moment.tensors.isdisjoint(held)):
            break
        found.append(moment)
    return found[::-1]
