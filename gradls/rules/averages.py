"""Parameters that follow others: the moving averages of a teacher or a target network."""

from __future__ import annotations

from gradls.flow.facts import Event, Facts
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules.training_order import loops_of


def averages(facts: Facts) -> set[Tensor]:
    """The parameters that the program moves towards others, which is how they are trained."""
    return {average for event in facts.each(_averaging) if (average := average_of(event)) is not None}


def _averaging(facts: Facts) -> list[Event]:
    return [event for event in facts.of("write", "data-set") if average_of(event) is not None]


def average_of(event: Event) -> Tensor | None:
    """The parameter that gets a mean of its own value and of the one in its place in another module."""
    written = event.value
    for _ in range(3):
        if isinstance(written, Tensor) and not written.is_parameter and isinstance(written.data, Tensor):
            written = written.data
    if not isinstance(written, Tensor) or not written.is_parameter or event.node is None:
        return None
    sources = [edge.node for edge in event.node.edges]
    kept = event.kind == "write" and event.op.rstrip("_") in ("add", "lerp")
    if event.kind == "write" and not kept:
        if event.op.rstrip("_") != "copy":
            return None
        del sources[:1]  # What was there before.
    found = {part.leaf for node in sources for part in walk(node) if part.leaf is not None and part.leaf.is_parameter}
    if kept:
        found.add(written)
    others = found - {written}
    alike = [(part.name, part.shape) for part in others] == [(written.name, written.shape)]
    return written if written in found and alike and loops_of(event.path) else None
