"""Where gradient is lost: cuts between a backward and what it was meant to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, frontier, lost_leaves, walk
from gradls.flow.values import Tensor

LINEAR = frozenset(("add", "sub", "rsub", "neg", "mul", "div", "truediv", "sum", "mean", "stack", "cat", "phi", "scale", "item", "to"))
"""Operations through which a term of a loss stays a term."""


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """A cut that costs gradient.

    `why`: "raises", nothing that the backward could reach is left; "parameters", the trained parameters in `leaves`
    get no gradient from any backward; "term", a term of the loss is a constant. `others` are further cuts of the same
    kind that keep the same parameters from their gradient.
    """

    cut: Node
    backward: Event
    leaves: tuple[Tensor, ...]
    why: str
    others: tuple[Node, ...] = ()


def lost_gradients(facts: Facts) -> list[Lost]:
    """Every cut that costs gradient, once for each reason."""
    if facts.lost is None:
        facts.lost = _grouped(list(_all(facts)))
    return facts.lost


def backwards(facts: Facts) -> Iterator[Event]:
    """The calls of backward of which the root is known."""
    return (event for event in facts.of("backward") if event.node is not None)


def without_gradient(event: Event) -> bool:
    """Will this backward raise because its root has no graph?"""
    return event.requires_grad is False


def _all(facts: Facts) -> Iterator[Lost]:
    seen: set[tuple[Node, str]] = set()
    never = never_reached(facts)
    reached_nodes = {node for event in backwards(facts) for node in walk(event.node, follow="maybe")}  # type: ignore[arg-type]
    for event in backwards(facts):
        root = event.node
        assert root is not None
        for cut in frontier(root):
            leaves = tuple(lost_leaves(cut))
            if without_gradient(event):
                why = "raises"
            elif any(leaf in never for leaf in leaves):
                why, leaves = "parameters", tuple(leaf for leaf in leaves if leaf in never)
            elif leaves and is_dead_term(root, cut, reached_nodes):
                why = "term"
            else:
                continue
            if (cut, why) not in seen and (leaves or why == "raises"):
                seen.add((cut, why))
                yield Lost(cut, event, leaves, why)


def _grouped(found: list[Lost]) -> list[Lost]:
    """One for all cuts of a kind that cost the same parameters their gradient."""
    kept: list[Lost] = []
    for lost in found:
        kind = lost.cut.cut.kind if lost.cut.cut else ""
        for index, first in enumerate(kept):
            same = first.why == lost.why == "parameters" and first.cut.cut is not None and first.cut.cut.kind == kind
            if same and set(first.leaves) & set(lost.leaves):
                places = {node.cut.at for node in (first.cut, *first.others) if node.cut}
                others = first.others if lost.cut.cut is None or lost.cut.cut.at in places else (*first.others, lost.cut)
                leaves = tuple(dict.fromkeys((*first.leaves, *lost.leaves)))
                kept[index] = replace(first, leaves=leaves, others=others)
                break
        else:
            kept.append(lost)
    return kept


def never_reached(facts: Facts) -> set[Tensor]:
    """The parameters that an optimizer steps though no backward reaches them."""
    trained: set[Tensor] = set()
    for event in facts.of("step"):
        trained |= event.trained
    if not trained or any(event.node is None for event in facts.of("backward")):
        return set()
    for event in backwards(facts):
        trained -= event.reached
    for event in facts.of("grad-set"):
        trained.discard(event.value)  # type: ignore[arg-type]
    for event in facts.of("grad-call"):
        trained -= {target for target in event.targets if isinstance(target, Tensor)}
    return trained if any(True for _ in backwards(facts)) else set()


def is_dead_term(root: Node, cut: Node, reached: set[Node]) -> bool:
    """Is `cut` a whole term of the sum `root`, of something that no backward reaches otherwise?"""
    sources = [edge.node for edge in cut.edges]
    if not sources or any(source in reached or source.scalar is not True for source in sources):
        return False
    todo, seen = [root], {root}
    while todo:
        node = todo.pop()
        if node is cut:
            return True
        if node.op not in LINEAR and node is not root:
            continue
        if node.op in ("mul", "div", "truediv") and sum(edge.flows is not False for edge in node.edges):
            continue
        for edge in node.edges:
            if edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    return False

