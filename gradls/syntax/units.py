"""The parts of a text that are parsed by themselves: top-level statements, and the members of top-level classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradls.syntax.gaps import Gap
from gradls.syntax.parse import SyntaxProblem
from gradls.syntax.text import first_code, has_code, indentation, is_continued, level

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(slots=True, eq=False)
class Family:
    """A top-level class whose members are units. `level` and `indent` are what the first one is indented by."""

    node: ast.ClassDef
    level: tuple[int, int]
    indent: str
    known: dict[tuple[object, ast.AST], Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Unit:
    """The statements on `size` lines from index `at`: all that begin there, and no line of any other.

    Between units there are only blank lines and comments. The nodes know the first line by the number `base`, and
    `room` numbers from there on belong to this unit. The header of a class that is a family is a unit, whose one node
    is the class.
    """

    nodes: list[ast.stmt]
    at: int
    size: int
    base: int
    room: int
    family: Family | None = None
    head: bool = False
    flaws: list[SyntaxProblem] = field(default_factory=list)
    """The syntax errors, counted from the first line of the unit. What follows is of use only if there are any."""
    before: int = 0
    reach: int = 0
    """The lines before and behind the unit that have to stay as they are for it to be certain that it is broken."""
    parents: dict[ast.AST, ast.AST] | None = None
    known: dict[tuple[object, ast.AST], Any] | None = None

    @property
    def end(self) -> int:
        """The index of the first line behind it."""
        return self.at + self.size


def start_of(unit: Unit) -> int:
    return unit.at


def end_of(unit: Unit) -> int:
    return unit.at + unit.size


def base_of(unit: Unit) -> int:
    return unit.base


def first_line(statement: ast.stmt) -> int:
    """The line that a statement starts on, as its nodes know it, decorators included."""
    decorators = getattr(statement, "decorator_list", None)
    return min(statement.lineno, decorators[0].lineno) if decorators else statement.lineno


@dataclass(slots=True)
class _Group:
    """Statements on the lines from index `start` to `end` that share lines."""

    start: int
    end: int
    nodes: list[ast.stmt]
    head: bool = False


def split(
    nodes: Sequence[ast.stmt],
    lines: Sequence[str],
    base: int,
    at: int,
    family: Family | None = None,
    problems: Sequence[SyntaxProblem] = (),
) -> list[Unit]:
    """The units that `nodes` are, which are those of `lines`, the gaps of `problems` filled.

    The first line has the number `base` for the nodes, and the index `at` in the text. `family` is the class that the
    nodes are members of. `problems` count from the first line.
    """
    units: list[Unit] = []
    # A problem without a gap means that nothing could be read.
    gaps = [problem.gap or Gap(first_code(lines) or 0, len(lines)) for problem in problems]
    for group in _joined(list(_groups(nodes, lines, base, 0)), gaps):
        node = group.nodes[0] if len(group.nodes) == 1 else None
        if isinstance(node, ast.ClassDef) and family is None:
            units += _class(node, group, lines, base, at, gaps)
        else:
            units.append(_unit(group, base, at, family))
    if not units and not gaps and (first := first_code(lines)) is not None:
        # There is nothing but lines that go on with nothing.
        units = [_unit(_Group(first, len(lines), []), base, at, family)]
    ends = [*(unit.base for unit in units[1:]), base + len(lines)]
    for unit, end in zip(units, ends, strict=False):
        unit.room = end - unit.base
    for problem, gap in zip(problems, gaps, strict=True):
        unit = next(unit for unit in units if unit.at - at <= gap.start < unit.end - at)
        flaw = problem.moved(at - unit.at)
        # What is said of lines above goes with the unit.
        unit.flaws.append(flaw if flaw.line > 0 else replace(flaw, line=1))
    return units


def _unit(group: _Group, base: int, at: int, family: Family | None) -> Unit:
    size = group.end - group.start
    return Unit(group.nodes, at + group.start, size, base + group.start, size, family, group.head)


def _class(
    node: ast.ClassDef, group: _Group, lines: Sequence[str], base: int, at: int, gaps: Sequence[Gap]
) -> Iterator[Unit]:
    """The units of a class: its header and its members, unless they share lines."""
    first = node.body[0]
    start = first_line(first) - base
    line = lines[start]
    family = Family(node, level(line), indentation(line))
    begins = line[len(family.indent) :]
    # Columns count bytes, but there is nothing but white space before them.
    own_line = begins.startswith("@") if start < first.lineno - base else first.col_offset == len(family.indent)
    if own_line and start > group.start and not is_continued(lines[start - 1]):
        end = start
        while not has_code(lines[end - 1]):
            end -= 1
        inner = [gap for gap in gaps if group.start <= gap.start < group.end]
        groups = [_Group(group.start, end, [node], True), *_groups(node.body, lines, base, start)]
        groups = _joined(groups, inner)
        if groups[0].nodes == [node]:
            for part in groups:
                yield _unit(part, base, at, family)
            return
    yield _unit(group, base, at, None)


def _groups(nodes: Sequence[ast.stmt], lines: Sequence[str], base: int, start: int) -> Iterator[_Group]:
    """The statements by lines that they share, from index `start` on."""
    group: _Group | None = None
    for node in nodes:
        end = (node.end_lineno or 0) - base + 1
        while end < len(lines) and is_continued(lines[end - 1]):
            end += 1
        if group is not None and first_line(node) - base < group.end:
            group.nodes.append(node)
            group.end = max(group.end, end)
            continue
        if group is not None:
            yield group
            start = group.end
        begin = first_code(lines, start)
        assert begin is not None
        group = _Group(begin, end, [node])
    if group is not None:
        yield group


def _joined(groups: list[_Group], gaps: Sequence[Gap]) -> list[_Group]:
    """The groups with the lines of gaps, each of which is in one group."""
    for gap in gaps:
        touched = [group for group in groups if group.start < gap.end and gap.start < group.end]
        nodes = [node for group in touched for node in group.nodes]
        start = min([gap.start, *(group.start for group in touched)])
        end = max([gap.end, *(group.end for group in touched)])
        groups = [group for group in groups if group not in touched]
        groups.append(_Group(start, end, nodes, len(touched) == 1 and touched[0].head))
        groups.sort(key=lambda group: group.start)
    return groups
