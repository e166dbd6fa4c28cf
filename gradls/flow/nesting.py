"""Lists and dictionaries are in none of what they hold: walks through values have an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.values import Choice, Mapping, Sequence, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


def held(run: Run, holder: Value, value: Value) -> Value:
    """What stands for `value` among the elements of `holder`: something unknown, if `holder` is it, or is in it."""
    if not isinstance(value, (Sequence, Mapping, Choice)):
        return value
    seen: set[int] = set()
    todo: list[Value] = [value]
    while todo:
        part = todo.pop()
        if part is holder:
            return run.unknown("element")
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Choice):
            todo += part.options
        elif isinstance(part, Sequence):
            todo += (*part.items, *_rest(part))
        elif isinstance(part, Mapping):
            todo += (*part.entries.values(), *_rest(part))
    return value


def _rest(value: Sequence | Mapping) -> tuple[Value, ...]:
    rest = value.fields["rest"]
    return () if rest is None else (rest,)


def all_held(run: Run, holder: Value, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The same for several values."""
    return tuple([held(run, holder, value) for value in values])
