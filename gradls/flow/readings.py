"""Numbers that were read out of tensors, where by branch something else stands in their place."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.values import Choice, Host, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

NUMBERS = ("numbers",)
"""The slot of something unknown with those that it is on some branches."""


def numbers_read(value: Value) -> tuple[Host, ...]:
    """The numbers, read out of tensors, that this is on some branches."""
    if isinstance(value, Host):
        node = value.node
        return (value,) if node is not None and node.cut is not None and node.cut.kind == "number" else ()
    if isinstance(value, Choice):
        return tuple(number for option in value.options for number in numbers_read(option))
    if isinstance(value, Unknown):
        found: tuple[Host, ...] = value.fields.get(NUMBERS, ())
        return found
    return ()


def note_numbers(run: Run, value: Value, node: ast.expr) -> None:
    """Write down that, by branch, a number that was read out of a tensor is asked for `backward`."""
    for number in numbers_read(value):
        run.event("backward-of-number", node, number, number.node)
