"""What programs tell models of which nothing is known: that they are frozen, and what converts them."""

from __future__ import annotations

from gradls.flow.state import ABSENT
from gradls.flow.values import Unknown, Value
from gradls.flow.wholes import VIEWED

FROZEN = ("frozen",)
"""Was the last that a module was told that nothing of it requires grad?"""
ABSENT[FROZEN] = None


def is_frozen(value: Value | None) -> bool:
    """Does nothing of an unknown module require grad, as it, or what it was converted from, was told?"""
    while isinstance(value, Unknown):
        known = value.fields.get(FROZEN)
        if known is not None:
            return bool(known)
        value = value.fields.get(VIEWED)
    return False


def is_converted(value: Value | None, module: Value | None) -> bool:
    """Is it what `module.cuda()` or the like gave, which gives a module itself?"""
    while isinstance(value, Unknown):
        value = value.fields.get(VIEWED)
        if value is module and value is not None:
            return True
    return False
