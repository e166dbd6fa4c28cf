"""Networks of which nothing is known, and several optimizers: a cut because of which one of these has nothing to train,
and gradients of one loss that are applied with those of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost
from gradls.flow.reach import frontier, walk
from gradls.flow.sources import is_call, sources
from gradls.flow.values import Unknown, Value
from gradls.rules.loss_arguments import history, prediction, target
from gradls.rules.training_order import is_on_the_way


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
    roots = [(event, root_of(event)) for event in facts.of("backward")]
    reached: set[Value] = set()
    for _, root in roots:
        if root is None or sources(root).others:
            return
        reached.update(network_of(node) for node in walk(root, follow="maybe") if is_call(node))
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


def root_of(event: Event) -> Node | None:
    """What a backward is called on, also where that is something unknown."""
    if event.node is not None:
        return event.node
    return event.value.fields.get(("node",)) if isinstance(event.value, Unknown) else None


def networks_differentiated(facts: Facts) -> Iterator[Value]:
    """The unknown networks that a backward may go through."""
    for event in facts.of("backward"):
        root = root_of(event)
        for node in walk(root, follow="maybe") if root is not None else ():
            if is_call(node):
                yield network_of(node)


def network_of(call: Node) -> Value:
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
                if cut.cut is not None and behind and not any(network_of(node) in reached for node in behind):
                    return cut
    return None


class Leftover(NamedTuple):
    """What a `step` of an unknown optimizer applies of another one's loss: the `first` backward, the step that was
    `taken` for it, and the backward of its `own` loss, which goes through the same networks."""

    step: Event
    first: Event
    taken: Event
    own: Event


def leftovers(facts: Facts) -> Iterator[Leftover]:
    """The steps that apply what the loss of another optimizer left."""
    return facts.each(_left_in_chapter)


def _left_in_chapter(facts: Facts) -> Iterator[Leftover]:
    cleared = {event.value for event in facts.of("unknown-zero-grad")}
    stepped = {event.value for event in facts.of("unknown-step")} & cleared
    if len(stepped) < 2 or any(facts.of("step", "zero-grad")):
        return
    since: dict[Value | None, list[Event]] = {optimizer: [] for optimizer in stepped}
    for event in facts.of("backward", "unknown-step", "unknown-zero-grad"):
        if event.kind == "unknown-zero-grad":
            for optimizer in (event.value,) if event.value in stepped else tuple(since):
                since[optimizer] = []
            continue
        if event.value in stepped:
            found = _left(facts, event, since[event.value])
            if found is not None:
                yield found
        for earlier in since.values():
            earlier.append(event)


def _left(facts: Facts, step: Event, since: list[Event]) -> Leftover | None:
    first = next((event for event in since if event.kind == "backward"), None)
    if first is None or not is_on_the_way(first.path, step.path):
        return None
    taken: Event | None = None
    for event in since[since.index(first) + 1 :]:
        if event.kind == "unknown-step":
            taken = event if event.value is not step.value else None
        elif taken is not None and event.at.node is not first.at.node:
            shared = _networks(first)
            alike = len(shared) > 1 and shared == _networks(event)
            # Who keeps the graph may add them up on purpose, unless the two losses want opposite things.
            if alike and (first.retain is False or _opposed(facts, first, event)):
                return Leftover(step, first, taken, event)
    return None


def _networks(backward: Event) -> frozenset[Value]:
    root = root_of(backward)
    if root is None or sources(root).others:
        return frozenset()
    return frozenset(network_of(node) for node in walk(root, follow="maybe") if is_call(node))


def _opposed(facts: Facts, one: Event, other: Event) -> bool:
    """Is the output of the same networks to be 0 for one loss, and 1 for the other?"""
    wanted = [_wanted(facts, event) for event in (one, other)]
    return any(
        networks == others and len(networks) > 1 and {number, opposite} == {0, 1}
        for networks, number in wanted[0]
        for others, opposite in wanted[1]
    )


def _wanted(facts: Facts, backward: Event) -> list[tuple[frozenset[Value], int]]:
    """Which networks the losses of a backward compare with nothing but zeros or ones."""
    root = root_of(backward)
    behind = set(walk(root, follow="maybe")) if root is not None else set()
    found: list[tuple[frozenset[Value], int]] = []
    for event in facts.of("loss"):
        guess, label = prediction(event), target(event)
        one = history(guess.value) if guess is not None else None
        made = history(label.value) if label is not None else None
        number = _CONSTANTS.get(made.op.removesuffix("_like")) if made is not None else None
        if event.node in behind and one is not None and number is not None:
            networks = frozenset(network_of(node) for node in walk(one, follow="maybe") if is_call(node))
            found.append((networks, number))
    return found


_CONSTANTS = {"zeros": 0, "ones": 1}
