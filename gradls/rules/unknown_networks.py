"""Networks of which nothing is known: a cut because of which one of several optimizers has nothing to train."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node, frontier, walk
from gradls.flow.lost import Lost
from gradls.flow.sources import is_call, sources
from gradls.flow.values import Unknown, Value


def behind_inputs(facts: Facts) -> list[Lost]:
    """The cuts on the inputs of the only networks that get a gradient, though more optimizers than these are stepped,
    each after a backward of its own: what is behind the cut is trained by none."""
    found: list[Lost] | None = facts.memo.get("behind-inputs")
    if found is None:
        found = facts.memo["behind-inputs"] = list(facts.each(_in_chapter))
    return found


def _in_chapter(facts: Facts) -> Iterator[Lost]:
    optimizers = _alternating(facts) if any(facts.of("unknown-step")) and not facts.unfinished else set()
    if len(optimizers) < 2 or any(facts.of("step")):
        return
    roots = [(event, _root(event)) for event in facts.of("backward")]
    reached: set[Value] = set()
    for _, root in roots:
        if root is None or sources(root).others:
            return
        reached.update(_network(node) for node in walk(root, follow="maybe") if is_call(node))
    if len(reached) >= len(optimizers):
        return
    for event, root in roots[:0:-1]:
        cut = _on_input(root, reached) if root is not None else None
        if cut is not None:
            yield Lost(cut, event, (), "network")
            return


def _alternating(facts: Facts) -> set[Value]:
    """What is stepped and cleared as an optimizer is, each with a backward since another one was stepped."""
    cleared = {event.value for event in facts.of("unknown-zero-grad")}
    found: set[Value] = set()
    fresh = False
    for event in facts.of("unknown-step", "backward"):
        if event.kind == "backward":
            fresh = True
        elif event.value in cleared and isinstance(event.value, Unknown) and event.value not in found:
            if not fresh:
                return set()
            found.add(event.value)
            fresh = False
    return found


def _root(event: Event) -> Node | None:
    if event.node is not None:
        return event.node
    return event.value.fields.get(("node",)) if isinstance(event.value, Unknown) else None


def _network(call: Node) -> Value:
    """What is called, or that of which it is a method or a part."""
    value = call.get("called")
    while isinstance(value.fields.get("of"), Unknown) and value.fields["of"].origin != "argument":
        value = value.fields["of"]
    return value


def _on_input(root: Node, reached: set[Value]) -> Node | None:
    """A cut behind which a network lies that gets no gradient, on the input of one that does."""
    for call in walk(root, follow="maybe"):
        if is_call(call):
            for cut in frontier(call):
                behind = [node for node in walk(cut) if is_call(node)]
                if cut.cut is not None and behind and not any(_network(node) in reached for node in behind):
                    return cut
    return None
