"""What programs put into dictionaries, take out of them, and into one of several by branch."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeGuard

from gradls.flow import registries
from gradls.flow.nesting import held
from gradls.flow.values import Host, Mapping, Value, host

if TYPE_CHECKING:
    from gradls.flow.run import Run


def put(run: Run, mapping: Mapping, index: Value, value: Value, target: ast.expr) -> None:
    """`mapping[index] = value`."""
    if "registry" in mapping.fields:
        registries.put(run, mapping, index, value, target)
    value = held(run, mapping, value)
    if _is_key(index):
        run.state.set(mapping.entries, index.value, value)
        if index.value in mapping.unsure:
            run.state.set(mapping.fields, "unsure", mapping.unsure.difference((index.value,)))
    else:
        put_anywhere(run, mapping, value)
    for part in mapping.fields.get("parts", ()):
        _put_maybe(run, part, index, value)


def put_anywhere(run: Run, mapping: Mapping, value: Value) -> None:
    """Put something in under a key that is not known."""
    old = mapping.rest
    run.state.set(mapping.fields, "rest", value if old is None else run.join.values([old, value]))


def put_into_parts(run: Run, mapping: Mapping, added: Mapping) -> None:
    """Put all of `added` into one of those that `mapping` may be."""
    for part in mapping.fields.get("parts", ()):
        for key, value in added.entries.items():
            _put_maybe(run, part, host(key), value)
        if added.rest is not None:
            put_anywhere(run, part, held(run, part, added.rest))
            if "registry" in part.fields:
                registries.forget(run, part)


def _put_maybe(run: Run, mapping: Mapping, index: Value, value: Value) -> None:
    """Put something in, or leave everything as it is."""
    value = held(run, mapping, value)
    if "registry" in mapping.fields:
        registries.forget(run, mapping)
    if not _is_key(index):
        put_anywhere(run, mapping, value)
    elif index.value in mapping.entries:
        run.state.set(mapping.entries, index.value, run.join.values([mapping.entries[index.value], value]))
    else:
        run.state.set(mapping.entries, index.value, value)
        run.state.set(mapping.fields, "unsure", mapping.unsure | {index.value})


def _is_key(index: Value) -> TypeGuard[Host]:
    """Is it known which entry this means?"""
    return isinstance(index, Host) and index.known and isinstance(index.value, (str, int, float, bool))
