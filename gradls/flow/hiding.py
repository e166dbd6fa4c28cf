"""Behind what unknown values the analysis may have lost sight of something that it knows."""

from __future__ import annotations

from gradls.flow.graph import HIDING, Node
from gradls.flow.values import Unknown


def may_hide(node: Node) -> bool:
    """Is this something unknown in which there may be something that the analysis has seen?"""
    if node.kind != "opaque":
        return False
    origin, value = node.op, node.get("value")
    while origin == "derived" and isinstance(value, Unknown) and "derived" in value.fields:
        value = value.fields["derived"][0]
        if isinstance(value, Unknown) and value.origin in ("filled", "derived", "branches"):
            origin = value.origin
    return origin in HIDING


def outermost(value: Unknown) -> Unknown:
    """The unknown object that something unknown is a part of: an attribute, an element, or part of these."""
    while True:
        whole = value.fields.get("of") or value.fields.get("derived", (None,))[0]
        if not isinstance(whole, Unknown) or whole is value:
            return value
        value = whole


def is_not_followed(node: Node) -> bool:
    """Was this made by a function of the program of which nobody looked at the body? That may use whatever it has."""
    called = node.get("called") if node.kind == "opaque" else None
    return isinstance(called, Unknown) and "body" in called.fields
