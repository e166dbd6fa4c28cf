"""Where gradient is lost: cuts between a backward and what it was meant to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, frontier, lost_leaves, walk
from gradls.flow.values import Tensor

LINEAR = frozenset(("add", "sub", "rsub", "neg", "mul", "div", "truediv", "sum", "mean", "stack", "cat", "phi", "scale", "item", "to"))
"""Operations through which a term of a loss stays a term."""
HIDING = frozenset(("element", "recursion", "branches", "decorated", "never", "super", "item", "unknown"))
"""Origins of unknown values in which something that the analysis has seen may hide; others are data from outside."""


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """A cut that costs gradient.

    `why`: "raises", nothing that the backward could reach is left; "parameters", the parameters in `leaves`, which an
    optimizer steps, get no gradient from any backward; "untrained", the same for parameters of a program that makes no
    optimizer; "term", a term of the loss is a constant. `others` are further cuts of the same
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
    optimized = any(True for _ in facts.of("optimizer-made", "unknown-step", "unknown-call"))
    reached = {leaf for event in backwards(facts) for leaf in event.reached}
    reached_nodes = {node for event in backwards(facts) for node in walk(event.node, follow="maybe")}  # type: ignore[arg-type]
    for event in backwards(facts):
        root = event.node
        assert root is not None
        cuts = frontier(root)
        if without_gradient(event):
            if cuts:
                yield _raising(event, cuts)
            continue
        for cut in cuts:
            leaves = tuple(lost_leaves(cut))
            if any(leaf in never for leaf in leaves):
                why, leaves = "parameters", tuple(leaf for leaf in leaves if leaf in never)
            elif not optimized and leaves and not any(leaf in reached for leaf in leaves):
                why, leaves = "untrained", tuple(leaf for leaf in leaves if leaf.is_parameter)
            elif leaves and is_dead_term(root, cut, reached_nodes):
                why = "term"
            else:
                continue
            if (cut, why) not in seen and leaves:
                seen.add((cut, why))
                yield Lost(cut, event, leaves, why)


def _raising(event: Event, cuts: list[Node]) -> Lost:
    """All cuts before a backward that has nothing left to reach: the last one made is to blame."""
    cuts = sorted(cuts, key=lambda node: -node.fields.born)
    leaves = dict.fromkeys(leaf for cut in cuts for leaf in lost_leaves(cut))
    return Lost(cuts[0], event, tuple(leaves), "raises", tuple(cuts[1:]))


def _grouped(found: list[Lost]) -> list[Lost]:
    """One for all cuts of a kind that cost the same parameters their gradient."""
    kept: list[Lost] = []
    for lost in found:
        kind = lost.cut.cut.kind if lost.cut.cut else ""
        for index, first in enumerate(kept):
            same = first.why == lost.why in ("parameters", "untrained") and first.cut.cut is not None and first.cut.cut.kind == kind
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
        if any(node.kind == "opaque" and node.op in HIDING for node in walk(event.node, follow="maybe")):  # type: ignore[arg-type]
            return set()
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

