"""What is found in the nodes of a text, by name; an edit costs the units that it touched."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from gradls.syntax.units import Unit

T = TypeVar("T")


class Index(Generic[T]):
    """What `work` finds in each node."""

    def __init__(self, work: Callable[[ast.AST], Iterable[tuple[str, T]]], units: Sequence[Unit]) -> None:
        self._work = work
        self._found: dict[str, dict[Unit, list[T]]] = {}
        self._names: dict[Unit, set[str]] = {}
        self._new = dict.fromkeys(units)

    def get(self, name: str) -> list[T]:
        """What was found under a name, unit by unit in the order of the text."""
        self._look()
        found = self._found.get(name)
        if not found:
            return []
        return [each for unit in sorted(found, key=lambda unit: unit.at) for each in found[unit]]

    def __contains__(self, name: str) -> bool:
        self._look()
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(self._found)

    def forget(self, units: Iterable[Unit]) -> None:
        for unit in units:
            self._new.pop(unit, None)
            for name in self._names.pop(unit, ()):
                found = self._found[name]
                del found[unit]
                if not found:
                    del self._found[name]

    def learn(self, units: Iterable[Unit]) -> None:
        self._new.update(dict.fromkeys(units))

    def _look(self) -> None:
        for unit in self._new:
            names = self._names[unit] = set()
            for node in nodes_of(unit):
                for name, value in self._work(node):
                    names.add(name)
                    self._found.setdefault(name, {}).setdefault(unit, []).append(value)
        self._new.clear()


def nodes_of(unit: Unit) -> Iterable[ast.AST]:
    """All nodes of a unit, each before what is in it; for the unit of a class, those of its header."""
    stack: list[ast.AST] = list(reversed(unit.nodes))
    while stack:
        node = stack.pop()
        yield node
        if unit.head and node is unit.nodes[0]:
            assert isinstance(node, ast.ClassDef)
            members = set(node.body)
            stack += [child for child in reversed(list(ast.iter_child_nodes(node))) if child not in members]
        else:
            stack += reversed(list(ast.iter_child_nodes(node)))
