"""What stands in for lines that do not parse: what was there before, or less."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.syntax.edited import MOST_CHANGED, Past
from gradls.syntax.gaps import Gap, fill, statements
from gradls.syntax.install import Installer
from gradls.syntax.layout import EVERYTHING, Layout
from gradls.syntax.parse import SyntaxProblem, recovered
from gradls.syntax.text import first_code, first_code_of_text, has_code, level, readable
from gradls.syntax.units import Family, Unit, split


class Doom(NamedTuple):
    """Lines that cannot be part of a text that parses, as long as so many lines before and behind them stay."""

    before: int
    reach: int
    line: int
    """The index of the line that Python complains of."""
    message: str


class StandIn:
    """To put something into the place of units whose lines do not parse any more."""

    def __init__(self, layout: Layout, installer: Installer) -> None:
        self.layout, self.installer, self.touched = layout, installer, installer.touched
        self.lines, self.units = layout.lines, layout.units

    def put(self, i: int, j: int, start: int, end: int, doom: Doom) -> list[Unit]:
        """Put something in the place of the units from `i` to `j`, of which the lines from `start` to `end` are left.

        The broken units of which it is known why.
        """
        parts = list(self._parts(i, j, start, end))
        if len(parts) == 1:
            return self._part(*parts[0], start, end, doom)
        if self.touched.end - start > MOST_CHANGED:
            return self._anew(i, j, start, end, doom)
        # What is before the end of the change belongs to the first of them, what is behind it to the last one.
        middle = self.touched.end
        for number, (kind, first, last) in reversed(list(enumerate(parts))):
            begin, stop = middle, middle
            if number == 0:
                begin = start
            elif number == len(parts) - 1:
                stop = end
            self._part(kind, first, last, begin, stop, doom, True)
        if (
            i
            and self.units[i - 1].head
            and self.units[i : i + 1]
            and self.units[i].family is not self.units[i - 1].family
        ):
            self._header(i - 1, self.units[i - 1].at, self.units[i - 1].end, doom)
        self._doubt(start, end)
        return []

    def _anew(self, i: int, j: int, start: int, end: int, doom: Doom) -> list[Unit]:
        """Look at each statement of the lines by itself, with the rest of the classes that they are part of."""
        units = self.units
        while units[i].family is not None and not units[i].head:
            i -= 1
            start = units[i].at
        while j < len(units) and units[j].family is not None and not units[j].head:
            j += 1
            end = units[j - 1].end
        self._recover(None, i, j, start, end, doom, None)
        self._doubt(start, end)
        return []

    def _doubt(self, start: int, end: int) -> None:
        """Why the units between these lines are broken is not known."""
        for unit in self.layout.broken:
            if start <= unit.at <= end:
                unit.before = unit.reach = EVERYTHING

    def _parts(self, i: int, j: int, start: int, end: int) -> Iterator[tuple[Family | Unit | None, int, int]]:
        """The units from `i` to `j` by what they are part of: a class that has other members, or the module. The
        header of a class that has other members is a part by itself."""
        units = self.units
        after = units[j].family if j < len(units) and not units[j].head else None
        if i == j:
            first = first_code_of_text(self.lines, start, end)
            assert first is not None
            before = units[i - 1].family if i else None
            yield before if before is after or level(self.lines[first]) != (0, 0) else None, i, j
        begin = i
        kinds: list[Family | Unit | None] = []
        inside: set[Family | None] = set()
        for unit in units[i:j]:
            if unit.head and unit.family is not after:
                inside.add(unit.family)
            kinds.append(None if unit.family in inside else unit if unit.head else unit.family)
        for index in range(i, j):
            if index + 1 == j or kinds[index + 1 - i] is not kinds[index - i]:
                yield kinds[index - i], begin, index + 1
                begin = index + 1

    def _part(
        self, kind: Family | Unit | None, i: int, j: int, start: int, end: int, doom: Doom, one_of_several: bool = False
    ) -> list[Unit]:
        if isinstance(kind, Unit):
            return [self._header(i, start, end, doom)]
        past, gaps = self._past(i, j, start, one_of_several)
        past = readable(past, start == 0)
        return self._recover(kind, i, j, start, end, doom, Past(past, gaps), one_of_several)

    def _recover(
        self,
        family: Family | None,
        i: int,
        j: int,
        start: int,
        end: int,
        doom: Doom,
        past: Past | None,
        may_be_right: bool = False,
    ) -> list[Unit]:
        lines = readable(self.lines[start:end], start == 0)
        base = self.installer.reserve(i, j, len(lines))
        margin = family.indent if family else ""
        unit = self.units[i] if j == i + 1 else None
        alone = (
            past is not None
            and unit is not None
            and unit.base == base
            and (unit.at, len(past.lines)) == (start, unit.size)
        )
        nodes = unit.nodes if unit is not None and alone else None
        found = statements(lines, bool(margin), base) if may_be_right else None
        problems: list[SyntaxProblem] = []
        if not isinstance(found, list):
            line = min(max(doom.line - start, 0), len(lines) - 1)
            error = SyntaxError(doom.message, ("", base + line, 0, ""))
            found, problems = recovered(lines, past, error, margin, base, nodes)
            if unit is not None and found is nodes:
                self.installer.keep(unit, problems)
                unit.before, unit.reach = doom.before, doom.reach
                return [unit]
        drafts = _split(found, lines, base, start, family, problems)
        for draft in drafts:
            if draft.flaws:
                draft.before = max(draft.at - start + doom.before, 0)
                draft.reach = max(end + doom.reach - draft.end, 0)
        return self.installer.install(i, j, drafts)

    def _past(self, i: int, j: int, start: int, one_of_several: bool) -> tuple[list[str], list[Gap]]:
        """The lines that the units from `i` to `j` were, and the gaps in them."""
        touched = self.touched
        past = touched.past
        begin = touched.start
        if one_of_several:
            begin = self.units[i].at
            past = past[begin - touched.start : self.units[j - 1].end - touched.start]
        elif start < begin:
            past = self.lines[start:begin] + past
            begin = start
        moved = [flaw.moved(unit.at - begin) for unit in self.units[i:j] for flaw in unit.flaws]
        return past, [problem.gap for problem in moved if problem.gap is not None]

    def _header(self, index: int, start: int, end: int, doom: Doom) -> Unit:
        """The header of a class stays what it was."""
        unit = self.units[index]
        first = first_code_of_text(self.lines, start, end)
        self.layout.remove([unit])
        unit.at = start if first is None else first
        while end > unit.at and not has_code(self.lines[end - 1]):
            end -= 1
        unit.size = max(end - unit.at, 0)
        line = min(max(doom.line - unit.at, 0), max(unit.size - 1, 0))
        unit.flaws = [SyntaxProblem(line + 1, doom.message)]
        unit.before, unit.reach, unit.known = doom.before, doom.reach, None
        self.layout.add([unit])
        return unit


def _split(
    nodes: list[ast.stmt], lines: list[str], base: int, at: int, family: Family | None, problems: list[SyntaxProblem]
) -> list[Unit]:
    """The units of recovered statements. Those without a flaw have to parse by themselves where they are."""
    filled = fill(lines, [problem.gap for problem in problems if problem.gap is not None])
    drafts = split(nodes, filled, base, at, family, problems)
    rest = first_code(filled, drafts[-1].end - at if drafts else 0)
    if rest is not None:
        problems = [*problems, SyntaxProblem(rest + 1, "unexpected end", Gap(rest, len(lines)))]
        return _split(nodes, lines, base, at, family, problems)
    wanted = family.level if family is not None else (0, 0)
    for draft in drafts:
        if not draft.flaws and draft.family is family and level(lines[draft.at - at]) != wanted:
            first = problems[0] if problems else SyntaxProblem(1, "unexpected indent")
            return split([], lines, base, at, family, [SyntaxProblem(first.line, first.message)])
    return drafts
