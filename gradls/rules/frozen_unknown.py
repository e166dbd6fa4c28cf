"""Unknown models of which all parameters are frozen: what they compute from data has no gradient."""

from __future__ import annotations

from collections.abc import Collection

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.sources import sources
from gradls.flow.values import Host, Unknown, Value
from gradls.rules.training_order import is_on_the_way

_CHANGES = ("unknown-call", "unknown-attribute-set", "unknown-item-set", "freeze", "requires-grad-set")
_LISTS = frozenset(("parameters", "named_parameters", "modules", "named_modules", "children", "named_children"))
_QUIET = frozenset((
    *_LISTS, "requires_grad_", "train", "eval", "to", "cuda", "cpu", "xpu", "float", "double", "half", "bfloat16",
    "zero_grad", "state_dict", "load_state_dict",
))  # fmt: skip
"""Methods of modules that thaw nothing, or that are looked at."""


def freezes(facts: Facts, backward: Event) -> list[Event]:
    """What froze the unknown models that are all which a loss depends on, beside data; nothing if one is not frozen."""
    assert backward.node is not None
    found = sources(backward.node)
    if found.others or found.arguments or not found.calls or not all(map(_is_of_data, found.calls)):
        return []
    frozen = _frozen_before(facts, backward)
    by = [frozen.get(call.get("called")) for call in found.calls]
    known = [event for event in by if event is not None and is_on_the_way(event.path, backward.path)]
    return list(dict.fromkeys(known)) if len(known) == len(by) else []


def _is_of_data(call: Node) -> bool:
    """Does nothing go into a call but what a loop takes from somewhere, and what has no gradient?"""
    for edge in call.edges:
        if edge.flows is not False:
            given = sources(edge.node)
            if given.others or given.arguments or given.calls:
                return False
    return True


def _frozen_before(facts: Facts, backward: Event) -> dict[Value, Event]:
    frozen: dict[Value, Event] = {}
    for event in facts.of(*_CHANGES):
        if event.clock > backward.clock:
            break
        model, flag = _flag(event)
        if flag is False and model is not None:
            frozen[model] = event
        elif flag is not None or event.kind in ("freeze", "requires-grad-set"):
            frozen.clear()
        elif frozen:
            for changed in _changed(event):
                frozen.pop(changed, None)
    return frozen


def are_changed(facts: Facts, modules: Collection[Value], start: int, end: int) -> bool:
    """May something have put other parts into unknown models, between two moments?"""
    changes = (event for event in facts.of(*_CHANGES) if start < event.clock < end)
    found = {changed for event in changes for changed in _changed(event)}
    return any(module in found for module in modules)


def _flag(event: Event) -> tuple[Value | None, object]:
    """Of what unknown model all parameters get a flag here, and which; "maybe" if it is not known which. The flag is
    None if this sets none."""
    value = event.value
    if event.kind == "unknown-attribute-set" and event.name == "requires_grad":
        given, target = event.assigned, value
    elif event.kind == "unknown-call" and isinstance(value, Unknown) and value.name == "requires_grad_":
        given = event.arguments[0] if event.arguments else None
        target = value.fields.get("of")
    else:
        return None, None
    flag = given.value if isinstance(given, Host) and given.known else "maybe"
    return (_listed(target) or target) if isinstance(target, Unknown) else None, flag


def _listed(value: Value) -> Value | None:
    """The model of which this is a parameter, any of those that `parameters()` lists, or such a list itself."""
    while isinstance(value, Unknown) and "derived" in value.fields and value.fields["derived"][1] == 1:
        value = value.fields["derived"][0]  # of a pair of name and parameter
    given = value.fields.get("iterated", value) if isinstance(value, Unknown) else value
    node = given.fields.get(("node",)) if isinstance(given, Unknown) else None
    if isinstance(node, Node) and node.op in _LISTS and len(node.edges) == 1:
        return node.edges[0].node.get("value")
    return None


def _changed(event: Event) -> list[Value]:
    """The models that unknown code may thaw here, or that get other parts."""
    value = event.value
    if event.kind != "unknown-call":
        return _and_around(value)
    given = [part for argument in event.arguments for part in _and_around(_listed(argument) or argument)]
    receiver = value.fields.get("of") if isinstance(value, Unknown) else None
    if receiver is not None and value.name not in _QUIET:  # type: ignore[union-attr]
        given += _and_around(receiver)
    return given


def _and_around(value: Value | None) -> list[Value]:
    """A value, and what it is a part of."""
    found: list[Value] = []
    while isinstance(value, Unknown) and len(found) < 8:
        found.append(value)
        value = value.fields.get("of")
    return found
