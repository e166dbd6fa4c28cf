"""Text that a program puts together of what is known: names of layers and parameters, mostly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gradls.flow.values import LONGEST, Host, Sequence, Value, computed

if TYPE_CHECKING:
    from gradls.flow.run import Run

WIDE = re.compile(r"\d{4}|\*")
"""In a format: what it gives may be far longer than it is."""


def plain(value: Value) -> Any:
    """The Python object that a value certainly is; `...` if that is not known."""
    if isinstance(value, Host) and value.known:
        return value.value
    if isinstance(value, Sequence) and value.whole and value.kind in ("list", "tuple"):
        parts = tuple([plain(item) for item in value.items])
        if ... not in parts:
            return list(parts) if value.kind == "list" else parts
    return ...


def filled_in(run: Run, text: Host, values: Value) -> Value:
    """`text % values`, which gives a text whatever the values are."""
    parts = plain(values)
    if not isinstance(text.value, str) or type(parts) is not tuple or len(text.value) > LONGEST:
        return Host("str")
    if WIDE.search(text.value) is not None or not all(type(part) in (int, float, str) for part in parts):
        return Host("str")
    try:
        return computed(text.value % parts)
    except (TypeError, ValueError):
        return run.unknown("operator")


def joined(text: Host, values: Value) -> Value:
    """`text.join(values)`."""
    parts = plain(values)
    if not isinstance(text.value, str) or not isinstance(parts, (list, tuple)):
        return Host("str")
    if not all(type(part) is str for part in parts) or sum(map(len, parts)) + len(parts) * len(text.value) > LONGEST:
        return Host("str")
    return computed(text.value.join(parts))
