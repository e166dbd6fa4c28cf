"""Where the nodes of a text are: the line numbers that they know, and the lines that they stand on.

Nodes know *virtual* line numbers. Those of a unit go up from its `base` as its lines do; where the unit stands in the
text only the unit knows. So no node has to be touched when lines above it come or go. When a text is first read the
virtual numbers are the real ones.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, TypeVar

from gradls.syntax.gaps import fill
from gradls.syntax.index import Index
from gradls.syntax.parse import SyntaxProblem
from gradls.syntax.text import readable
from gradls.syntax.units import Family, Unit, base_of, end_of, split

T = TypeVar("T")
_SEMICOLON = re.compile(rb"[ \t\f]*(?:(;)|\\[\r\n])")
SLACK = 8  # virtual lines that a unit has to grow into


EVERYTHING = 1 << 60  # more lines than any text has


class Ranges:
    """The virtual line numbers that nobody has. Number 1 nobody gets: the line above a unit has to have one."""

    def __init__(self, end: int) -> None:
        self.end = end
        self._free: list[tuple[int, int]] = []

    def take(self, count: int) -> int:
        """The first of `count` numbers that follow each other."""
        for index, (start, end) in enumerate(self._free):
            if end - start >= count:
                if end - start == count:
                    del self._free[index]
                else:
                    self._free[index] = start + count, end
                return start
        self.end += count
        return self.end - count

    def give(self, start: int, count: int) -> None:
        """Nobody has the `count` numbers from `start` on any more."""
        start, end = max(start, 2), start + count
        if start >= end:
            return
        index = bisect_left(self._free, (start, end))
        if index < len(self._free) and self._free[index][0] == end:
            end = self._free.pop(index)[1]
        if index and self._free[index - 1][1] == start:
            index -= 1
            start = self._free.pop(index)[0]
        if end == self.end:
            self.end = start
        else:
            self._free.insert(index, (start, end))


class Layout:
    """A text in units. `units` are in the order of the text."""

    def __init__(self, lines: list[str], tree: ast.Module, problems: Sequence[SyntaxProblem]) -> None:
        """`problems` are those for which lines are left out of `tree`."""
        gaps = [problem.gap for problem in problems if problem.gap is not None]
        self.lines = lines
        self.tree = tree
        self.units = split(tree.body, fill(readable(lines, True), gaps), 1, 0, None, problems)
        self.ranges = Ranges(len(lines) + 2)
        self.known: dict[tuple[object, ast.AST], Any] = {}
        self._indexes: dict[object, Index[Any]] = {}
        self.broken = [unit for unit in self.units if unit.flaws]
        for unit in self.broken:
            unit.before = unit.reach = EVERYTHING
        self._by_base = sorted(self.units, key=base_of)
        self._bases = [unit.base for unit in self._by_base]

    def add(self, units: Iterable[Unit]) -> None:
        """Know where the nodes of more units are."""
        for unit in units:
            if unit.flaws:
                self.broken.append(unit)
            index = bisect_right(self._bases, unit.base)
            self._bases.insert(index, unit.base)
            self._by_base.insert(index, unit)

    def remove(self, units: Iterable[Unit]) -> None:
        """Forget about units: they go, or before their base or their flaws change."""
        for unit in units:
            if unit in self.broken:
                self.broken.remove(unit)
            index = bisect_left(self._bases, unit.base)
            while self._by_base[index] is not unit:
                index += 1
            del self._bases[index], self._by_base[index]

    def forget(self, units: Iterable[Unit]) -> None:
        """These units are no more."""
        for index in self._indexes.values():
            index.forget(units)

    def learn(self, units: Iterable[Unit]) -> None:
        """These units are new."""
        for index in self._indexes.values():
            index.learn(units)

    def index(self, work: Callable[[ast.AST], Iterable[tuple[str, T]]]) -> Index[T]:
        """See `Source.index`."""
        found = self._indexes.get(work)
        if found is None:
            found = self._indexes[work] = Index(work, self.units)
        return found

    def around(self, index: int) -> range:
        """The lines of the unit that a line is in, with those before it that belong to none."""
        number = bisect_right(self.units, index, key=end_of)
        start = self.units[number - 1].end if number else 0
        return range(start, self.units[number].end if number < len(self.units) else len(self.lines))

    def unit_at(self, number: int) -> Unit | None:
        """The unit that has a virtual line number."""
        index = bisect_right(self._bases, number) - 1
        return self._by_base[index] if index >= 0 else None

    def line(self, number: int) -> int:
        """The real 1-based line for a virtual one."""
        unit = self.unit_at(number)
        if unit is None:
            return number
        offset = number - unit.base
        if offset >= unit.size:
            offset = max(unit.size - 1, 0)  # the older form of a header that is broken
        return unit.at + offset + 1

    def unit_of(self, node: ast.AST) -> Unit | None:
        """The unit that `node` is in if it is in this tree; None for the module."""
        if node is self.tree:
            return None
        while True:
            number = getattr(node, "lineno", None)
            if number is not None:
                return self.unit_at(number)
            inner = next(ast.iter_child_nodes(node), None) if not isinstance(node, ast.Module) else None
            if inner is None:
                return None
            node = inner

    def memo(self, node: ast.AST) -> dict[tuple[object, ast.AST], Any]:
        """Where to keep what was worked out for a node: it goes when the node, or something in it, is edited."""
        unit = self.unit_of(node)
        if unit is None:
            return self.known
        if unit.head and unit.family is not None and unit.family.node is node:
            return unit.family.known
        if unit.known is None:
            unit.known = {}
        return unit.known

    def parents(self, unit: Unit) -> dict[ast.AST, ast.AST]:
        """For each node of a unit, the node around it."""
        if unit.parents is None:
            outer: ast.AST = self.tree if unit.family is None or unit.head else unit.family.node
            found: dict[ast.AST, ast.AST] = dict.fromkeys(unit.nodes, outer)
            stack: list[ast.AST] = list(unit.nodes)
            while stack:
                node = stack.pop()
                for name in node._fields:
                    if unit.head and name == "body" and node is unit.nodes[0]:
                        continue
                    value = getattr(node, name, None)
                    for child in value if isinstance(value, list) else (value,):
                        if isinstance(child, ast.AST):
                            found[child] = node
                            if child._fields:
                                stack.append(child)
            unit.parents = found
        return unit.parents

    def members(self, family: Family, near: int) -> list[ast.stmt]:
        """The nodes of the members of a class, one of whose units has the index `near`."""
        start = end = near
        units = self.units
        while start and units[start - 1].family is family:
            start -= 1
        while end < len(units) and units[end].family is family:
            end += 1
        return [node for unit in units[start:end] if not unit.head for node in unit.nodes]

    def close_classes(self, families: Container[Family | None]) -> None:
        """Say where classes end."""
        last = {unit.family: unit for unit in self.units if unit.family in families and unit.nodes}
        for family, unit in last.items():
            if family is not None:
                # A class that has lost its members has a `pass` in its header.
                final = family.node.body[-1] if unit.head else unit.nodes[-1]
                line, column = self._end(unit, final.end_lineno or 0, final.end_col_offset or 0)
                family.node.end_lineno, family.node.end_col_offset = line, column

    def _end(self, unit: Unit, line: int, column: int) -> tuple[int, int]:
        """Where a block ends whose last statement ends there: behind the semicolon, if there is one."""
        index, at = line - unit.base + unit.at, column
        while index < unit.end and not unit.flaws:
            found = _SEMICOLON.match(self.lines[index].encode("utf-8", "surrogatepass"), at)
            if found is None:
                break
            if found[1]:
                return index - unit.at + unit.base, found.end()
            index, at = index + 1, 0
        return line, column

    def renumber(self) -> None:
        """Use the smallest virtual numbers again."""
        number = 2
        for unit in self.units:
            for node in unit.nodes:
                _shift(node, number - unit.base, unit.head)
            unit.base, unit.room = number, unit.size + SLACK
            number += unit.room
        self.close_classes({unit.family for unit in self.units})
        self.ranges = Ranges(number)
        self._by_base = list(self.units)
        self._bases = [unit.base for unit in self.units]


def _shift(node: ast.AST, lines: int, head: bool) -> None:
    stack = [node]
    while stack:
        inner = stack.pop()
        if hasattr(inner, "lineno"):
            inner.lineno += lines
            inner.end_lineno += lines  # type: ignore[attr-defined]
        if head and inner is node:
            stack += [child for child in ast.iter_child_nodes(inner) if child not in inner.body]  # type: ignore[attr-defined]
        else:
            stack += ast.iter_child_nodes(inner)
