"""Methods of strings. What is known is worked out: names of layers and parameters are put together of parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.models.registry import method
from gradls.flow.texts import joined, plain
from gradls.flow.values import LONGEST, Host, Sequence, Value, computed, host

if TYPE_CHECKING:
    from gradls.flow.run import Run

MOST_CHARACTERS = 1_000_000
"""So much a method of a string may have to do with."""
_STRING_TESTS = ("startswith", "endswith", "isdigit")
_STRING_NUMBERS = ("find", "rfind", "count")
_STRING_MAKERS = ("lower", "upper", "strip", "lstrip", "rstrip", "replace", "removeprefix", "removesuffix")


@method("str", *_STRING_TESTS, *_STRING_MAKERS, *_STRING_NUMBERS)
def string(run: Run, receiver: Host, call: Call) -> Value:
    """Evaluated where everything is known, so that tests on parameter names are exact."""
    name = getattr(getattr(call.node, "func", None), "attr", "")
    values = [plain(value) for value in call.args]
    sizes = [len(value) for value in values if isinstance(value, str)]
    if (
        receiver.known
        and isinstance(receiver.value, str)
        and all(value is not ... for value in values)
        and (len(receiver.value) + 1) * (sum(sizes) + 1) < MOST_CHARACTERS
    ):
        try:
            return computed(getattr(receiver.value, name)(*values))
        except (TypeError, ValueError, AttributeError):
            return run.unknown("call", name)
    return Host("bool" if name in _STRING_TESTS else "int" if name in _STRING_NUMBERS else "str")


@method("str", "format")
def formatted(run: Run, receiver: Host, call: Call) -> Value:
    """Evaluated where the text is known and all that goes into it are whole numbers or text: names of layers."""
    text = receiver.value
    values = [plain(value) for value in call.args]
    named = {name: plain(value) for name, value in call.kwargs.items()}
    known = all(type(value) in (int, str) for value in (*values, *named.values())) and not call.unsure
    if known and isinstance(text, str) and len(text) < LONGEST and not _IN_FIELDS.search(text):
        try:
            return computed(text.format(*values, **named))
        except (TypeError, ValueError, LookupError):
            return run.unknown("call", "format")
    return Host("str")


_IN_FIELDS = re.compile(r"[.\[:!][^{}]*\}")
"""Attributes, items, widths and conversions in the fields of a format string."""


@method("str", "join")
def join(run: Run, receiver: Host, call: Call) -> Value:
    return joined(receiver, call.args[0]) if len(call.args) == 1 else Host("str")


@method("str", "title", "capitalize", "zfill", "ljust", "rjust")
def laid_out(run: Run, receiver: Host, call: Call) -> Value:
    return Host("str")


@method("str", "splitlines")
def split_lines(run: Run, receiver: Host, call: Call) -> Value:
    text = receiver.value
    if isinstance(text, str) and len(text) < LONGEST and not call.values:
        return Sequence(run.state, "list", tuple(host(line) for line in text.splitlines()))
    return Sequence(run.state, "list", (), Host("str"))


@method("str", "split")
def split(run: Run, receiver: Host, call: Call) -> Value:
    values = [plain(value) for value in call.args]
    text = receiver.value
    if isinstance(text, str) and len(text) < LONGEST and all(isinstance(value, str) for value in values):
        try:
            return Sequence(run.state, "list", tuple(host(part) for part in text.split(*values)))
        except (TypeError, ValueError):
            return run.unknown("call", "split")
    return Sequence(run.state, "list", (), Host("str"))
