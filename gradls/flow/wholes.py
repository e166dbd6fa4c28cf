"""What unknown values are parts of."""

from __future__ import annotations

from gradls.flow.graph import Node
from gradls.flow.values import Unknown, Value

VIEWED = ("viewed",)
"""The slot of what something shares its memory with."""

DATA_OF = ("data of",)
"""The field of the `data` of something unknown that says whose it is."""
PART = ("part",)
"""The slot of what something is an item of, by a slice or by what is not known."""

LIKE = ("like",)
"""The slot of what may be any of several unknown results of one expression: the first of these."""

MOST_STEPS = 16


def whole_of(value: Unknown) -> Value | None:
    """What something is an element, an attribute or a view of."""
    derived = value.fields.get("derived")
    if derived is not None:
        whole: Value = derived[0]
        return whole
    return value.fields.get("of") or value.fields.get(VIEWED) or value.fields.get(PART)


def loop_element_of(value: Value | None) -> Unknown | None:
    """The element of what a loop goes through that an unknown value is, or is a part, an attribute or a view of."""
    for _ in range(MOST_STEPS):
        if not isinstance(value, Unknown) or value.origin == "data":
            return value if isinstance(value, Unknown) else None
        value = whole_of(value)
    return None


def common_expression(values: list[Value]) -> Unknown | None:
    """The first unknown one of several results, if one expression gave them all in the rounds of a loop."""
    places = [_made_at(value) for value in values]
    if places[0] is None or any(place is not places[0] for place in places):
        return None
    return next((value for value in values if isinstance(value, Unknown)), None)


def _made_at(value: Value) -> object:
    node = value.fields.get(("node",)) if isinstance(value, Unknown) else getattr(value, "node", None)
    return node.at.node if isinstance(node, Node) and node.at is not None else None


def common_element(values: list[Value]) -> Unknown | None:
    """The element that all of these are, or are parts of."""
    element = loop_element_of(values[0])
    return element if element is not None and all(loop_element_of(value) is element for value in values[1:]) else None
