"""What programs put into dictionaries, take out of them, and into one of several by branch."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeGuard

from gradls.flow import registries
from gradls.flow.nesting import held
from gradls.flow.values import Host, Mapping, Value, host

if TYPE_CHECKING:
    from gradls.flow.run import Run


class Gathered:
    """The entries of a new dictionary, one after the other: later ones take the place of earlier ones."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.entries: dict[Any, Value] = {}
        self.unsure: set[Any] = set()
        self.rest: list[Value] = []

    def put(self, key: Any, value: Value) -> None:
        self.entries[key] = value
        self.unsure.discard(key)

    def put_anywhere(self, value: Value, but: Collection[Any] = ()) -> None:
        """Something with a key that is not known; none of `but`."""
        self.rest.append(value)
        for key, old in self.entries.items():
            if key not in but:
                self.entries[key] = self.run.join.values([old, value])

    def put_all(self, other: Mapping) -> None:
        """All entries of another dictionary, those that it may not have as well."""
        for key, value in other.entries.items():
            if key not in other.unsure:
                self.put(key, value)
            elif key in self.entries:
                self.entries[key] = self.run.join.values([self.entries[key], value])
            else:
                self.entries[key] = value
                self.unsure.add(key)
        if other.rest is not None:
            self.put_anywhere(other.rest, other.entries)

    def mapping(self) -> Mapping:
        made = Mapping(self.run.state, self.entries, self.run.join.values(self.rest) if self.rest else None)
        if self.unsure:
            made.fields["unsure"] = frozenset(self.unsure)
        return made


def union(run: Run, left: Mapping, right: Value) -> Mapping:
    """`left | right`."""
    gathered = Gathered(run)
    gathered.put_all(left)
    if isinstance(right, Mapping):
        gathered.put_all(right)
    else:
        gathered.put_anywhere(run.unknown("element"))
    return gathered.mapping()


def update(run: Run, mapping: Mapping, added: Mapping, target: ast.expr) -> None:
    """Put all entries of another dictionary into this one."""
    for key, value in added.entries.items():
        if key in added.unsure:
            _put_maybe(run, mapping, host(key), value)
            for part in mapping.fields.get("parts", ()):
                _put_maybe(run, part, host(key), value)
        else:
            put(run, mapping, host(key), value, target)
    if added.rest is None:
        return
    rest = held(run, mapping, added.rest)
    put_anywhere(run, mapping, rest)
    # What is not known may have any key, those that are there, too.
    for key in [key for key in mapping.entries if key not in added.entries]:
        run.state.set(mapping.entries, key, run.join.values([mapping.entries[key], rest]))
    for one in (mapping, *mapping.fields.get("parts", ())):
        if one is not mapping:
            put_anywhere(run, one, held(run, one, added.rest))
        if "registry" in one.fields:
            registries.forget(run, one)


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
        for key, old in list(mapping.entries.items()):
            if isinstance(old, Host):
                run.state.set(mapping.entries, key, run.join.values([old, value]))
    for part in mapping.fields.get("parts", ()):
        _put_maybe(run, part, index, value)


def put_anywhere(run: Run, mapping: Mapping, value: Value) -> None:
    """Put something in under a key that is not known."""
    old = mapping.rest
    run.state.set(mapping.fields, "rest", value if old is None else run.join.values([old, value]))


def may_miss(run: Run, mapping: Mapping) -> None:
    """Something was taken out of it, it is not known what."""
    run.state.set(mapping.fields, "unsure", frozenset(mapping.entries))


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
