"""What programs tell models of which nothing is known: that they are frozen, and what converts them."""

from __future__ import annotations

from gradls.flow.state import ABSENT
from gradls.flow.values import Mapping, Sequence, Tensor, Unknown, Value
from gradls.flow.wholes import VIEWED

FROZEN = ("frozen",)
"""Was the last that a module was told that nothing of it requires grad?"""
ABSENT[FROZEN] = None

COPY_OF = ("copy of",)
"""What something unknown is a deep copy of."""

WHOSE = ("whose",)
"""The modules of which something unknown is all the parameters: a tuple."""

STATE_OF = ("state of",)
"""The module in whose `state_dict()` something unknown is an entry."""


_OF_TRAINING = ("parameters", "named_parameters", "train", "zero_grad")


def asks_to_train(value: Value | None) -> bool:
    """Does the program ask an unknown module for what those are asked for that it trains?"""
    return isinstance(value, Unknown) and any(name in value.fields for name in _OF_TRAINING)


def is_frozen(value: Value | None) -> bool:
    """Does nothing of an unknown module require grad, as it, or what it was converted from, was told?"""
    while isinstance(value, Unknown):
        known = value.fields.get(FROZEN)
        if known is not None:
            return bool(known)
        value = value.fields.get(VIEWED)
    return False


def modules_behind(value: Value | None) -> tuple[Unknown, ...] | None:
    """The unknown modules whose parameters an optimizer is given, beside known tensors; None if it may be given
    others."""
    if isinstance(value, Tensor):
        return ()
    if isinstance(value, Unknown):
        source = value if WHOSE in value.fields else value.fields.get("iterated")
        found: tuple[Unknown, ...] | None = source.fields.get(WHOSE) if isinstance(source, Unknown) else None
        return found
    if isinstance(value, Mapping):
        return modules_behind(value.entries.get("params"))
    if not isinstance(value, Sequence):
        return None
    whole: tuple[Unknown, ...] = ()
    for part in value.elements:
        behind = modules_behind(part)
        if behind is None:
            return None
        whole += behind
    return whole


def is_converted(value: Value | None, module: Value | None) -> bool:
    """Is it what `module.cuda()` or the like gave, which gives a module itself?"""
    while isinstance(value, Unknown):
        value = value.fields.get(VIEWED)
        if value is module and value is not None:
            return True
    return False
