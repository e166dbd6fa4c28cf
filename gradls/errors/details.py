"""What a message says of the very tensor that it is about, in words."""

from __future__ import annotations

import re

_WRITTEN = re.compile(
    r"\[torch\.(?:cuda\.)?(?P<type>\w+) \[(?P<shape>[\d, ]*)\]\]"
    r"(?:, which is output \d+ of (?P<operation>(?:\w+::)*\w+))?,? is at version (?P<is>\d+); "
    r"expected version (?P<was>\d+)"
)
_VIEWS = ("AsStrided", "T", "Transpose", "Permute")


def details(said: str) -> str:
    """A sentence or two on the tensor that a message about a write in place names; empty for other messages."""
    found = _WRITTEN.search(said)
    if found is None:
        return ""
    times = int(found["is"]) - int(found["was"])
    written = (
        "" if times < 1 else " It was written once since." if times == 1 else f" It was written {times} times since."
    )
    what = f"a {found['type']} of shape [{found['shape']}]"
    operation = re.sub(r"Backward\d*$", "", (found["operation"] or "").rpartition("::")[2])
    if not operation:
        return f"The tensor is {what} that no operation made, such as a parameter, a buffer or data.{written}"
    if operation in _VIEWS:
        return (
            f"The tensor is {what}, a view of another one: often of a weight, which `optimizer.step()` writes.{written}"
        )
    return f"The tensor is {what}, made by `{operation}`.{written}"
