"""A text is edited in place: only the units that the edit touches are parsed again.

Why that gives the tree of the whole text: a unit that parses by itself, at its own indentation, leaves the tokenizer as
it found it, and ends no sooner or later when others stand around it, unless what follows goes on with it: `else`, a
deeper line. So a text whose units all parse by themselves and begin as statements do is the row of their statements.

A text with a unit that does not parse by itself may still parse as a whole: more lines may close a bracket, or the unit
goes on with the one before it. Before a unit is taken for broken it is certain that this is not so: the parser gave up
before it had read all of what it was given, so that it would have done so whatever follows. `Unit.before` and
`Unit.reach` say which lines it was given.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from gradls.syntax.edited import Past
from gradls.syntax.gaps import Outside, fill, may_go_on, said, statements
from gradls.syntax.install import Installer
from gradls.syntax.layout import EVERYTHING, Layout
from gradls.syntax.parse import SyntaxProblem, recovered
from gradls.syntax.text import Change, first_code, has_code, is_continued, level, readable
from gradls.syntax.units import Family, Unit, end_of, split, start_of

_CLAUSE = re.compile(r"\s*(?:(?:else|elif|except|finally)\b|\\)")
_PEEKS = (1, 4, 16, 64)  # lines of code
_TOP = object()
_BASE = 2


class Edit(NamedTuple):
    """What an edit of a text did to its tree.

    `blocks` are the nodes whose `body` is another list now: the module, a top-level class, a top-level function or a
    member function of a top-level class. `moved` says that nodes may stand elsewhere.
    """

    blocks: tuple[ast.AST, ...]
    moved: bool


class _Doom(NamedTuple):
    """Lines that cannot be part of a text that parses, as long as so many lines before and behind them stay."""

    before: int
    reach: int
    line: int
    """The index of the line that Python complains of."""
    message: str


class Editor:
    """One edit of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lines = layout.lines
        self.units = layout.units
        self.installer = Installer(layout, self._old_lines)
        self._touched = range(0)
        """The units that the change touches, by index, and what their lines were, from index `_start` on."""
        self._past: list[str] = []
        self._start = 0
        self._judged: set[Unit] = set()
        """Broken units of which it has just been found out."""
        self.changed: list[tuple[int, int]] = []
        """The lines that have changed, or are in other units now, and may have to do with broken ones."""
        self._shift = 0

    def edit(self, new: Sequence[str], change: Change) -> Edit:
        """Turn the text into `new`, from which it differs by `change`."""
        lines, units = self.lines, self.units
        i = bisect_right(units, change.start, key=end_of)
        j = bisect_left(units, change.old_end, lo=i, key=start_of)
        start, end = change.start, change.old_end
        if change.start == 0 and any(line.startswith("\ufeff") for line in [*lines[:1], *new[:1]]):
            i, j, start, end = 0, len(units), 0, len(lines)
        elif i < j:
            start, end = min(start, units[i].at), max(end, units[j - 1].end)
        self._past, self._start, self._shift = lines[start:end], start, change.shift
        lines[change.start : change.old_end] = new[change.start : change.new_end]
        for unit in units[j:]:
            unit.at += change.shift
        self._touched = range(i, j)
        self.changed.append((change.start, change.new_end))
        attempt = _Attempt(self, i, j, start, end + change.shift)
        doom = attempt.run()
        if doom is not None:
            self._stand_in(attempt.i, attempt.j, attempt.start, attempt.end, doom)
        self._touched, self._past = range(0), []
        self._check_again()
        return Edit(self.installer.finish(), True)

    def _old_lines(self, index: int) -> list[str]:
        """The lines that the unit at an index was made from."""
        unit = self.units[index]
        if index in self._touched:
            return self._past[unit.at - self._start : unit.end - self._start]
        return self.lines[unit.at : unit.end]

    def _check_again(self) -> None:
        """See whether what has changed mends units that are broken, or makes it uncertain that they are."""
        judged = self._judged
        while self.changed:
            start, end = self.changed.pop()
            for unit in list(self.layout.broken):
                doubtful = unit.at - unit.before <= end and start <= unit.end + unit.reach
                if not doubtful or unit not in self.layout.broken or unit in judged:
                    continue
                i = self.units.index(unit)
                count = len(self.changed)
                doom = _Attempt(self, i, i + 1, unit.at, unit.end).run()
                if doom is not None:
                    unit.before, unit.reach = doom.before, doom.reach
                if len(self.changed) > count:
                    judged.clear()
                elif doom is not None:
                    judged.add(unit)

    def _stand_in(self, i: int, j: int, start: int, end: int, doom: _Doom) -> None:
        """Let older forms, or less, stand in for lines that do not parse."""
        units = self.units
        if j == i + 1 and units[i].head:
            self._broken_header(units[i], start, end, doom)
            return
        first, last = start - doom.before, end + doom.reach
        family, *whole = self._container(i, j, start, end)
        judged = whole == [i, j]
        i, j = whole
        past, past_end = self._past, end
        if i < self._touched.start:
            start = units[i].at
            past = self.lines[start : self._start] + past
        if j > self._touched.stop:
            end = units[j - 1].end
            past = past + self.lines[past_end:end]
        gaps = []
        for index, unit in enumerate(units[i:j], i):
            at = unit.at - start - (self._shift if index >= self._touched.stop else 0)
            gaps += [gap for flaw in unit.flaws if (gap := flaw.moved(at).gap) is not None]
        lines = readable(self.lines[start:end], start == 0)
        base = self.installer.reserve(i, j, len(lines))
        line = min(max(doom.line - start, 0), len(lines) - 1)
        error = SyntaxError(doom.message, ("", base + line, 0, ""))
        margin = family.indent if family else ""
        nodes, problems = recovered(lines, Past(readable(past, start == 0), gaps), error, margin, base)
        drafts = _split(nodes, lines, base, start, family, problems)
        for draft in drafts:
            if draft.flaws:
                draft.before, draft.reach = max(draft.at - first, 0), max(last - draft.end, 0)
        units = self.installer.install(i, j, drafts)
        # What is known of what was broken beside the change is of another unit.
        for unit in units:
            if judged:
                self._judged.add(unit)
            elif unit.flaws:
                unit.before = unit.reach = EVERYTHING

    def _container(self, i: int, j: int, start: int, end: int) -> tuple[Family | None, int, int]:
        """What the units from `i` to `j` are part of as a whole, and from which unit to which."""
        units = self.units
        if i == j:
            family = units[i - 1].family if i else None
            follows = j < len(units) and units[j].family is family and not units[j].head
            first = first_code(self.lines, start, end)
            assert first is not None
            return (family if follows or level(self.lines[first]) != (0, 0) else None), i, j
        families = {unit.family for unit in units[i:j]}
        if len(families) == 1 and not any(unit.head for unit in units[i:j]):
            return families.pop(), i, j
        while units[i].family is not None and not units[i].head:
            i -= 1
        while j < len(units) and units[j].family is not None and not units[j].head:
            j += 1
        return None, i, j

    def _broken_header(self, unit: Unit, start: int, end: int, doom: _Doom) -> None:
        """The header of a class stays what it was."""
        first = first_code(self.lines, start, end)
        self.layout.remove([unit])
        unit.at = start if first is None else first
        while end > unit.at and not has_code(self.lines[end - 1]):
            end -= 1
        unit.size = max(end - unit.at, 0)
        line = min(max(doom.line - unit.at, 0), max(unit.size - 1, 0))
        unit.flaws = [SyntaxProblem(line + 1, doom.message)]
        unit.before, unit.reach, unit.known = doom.before, doom.reach, None
        self.layout.add([unit])
        self._judged.add(unit)


def _split(
    nodes: list[ast.stmt], lines: list[str], base: int, at: int, family: Family | None, problems: list[SyntaxProblem]
) -> list[Unit]:
    """The units of recovered statements. Those without a flaw have to parse by themselves where they are."""
    filled = fill(lines, [problem.gap for problem in problems if problem.gap is not None])
    drafts = split(nodes, filled, base, at, family, problems)
    wanted = family.level if family is not None else (0, 0)
    for draft in drafts:
        if not draft.flaws and draft.family is family and level(lines[draft.at - at]) != wanted:
            return split([], lines, base, at, family, [SyntaxProblem(problems[0].line, problems[0].message)])
    return drafts


class _Attempt:
    """To parse the lines from `start` to `end`, and more if that is of use, and to put them in their place."""

    def __init__(self, editor: Editor, i: int, j: int, start: int, end: int) -> None:
        self.editor, self.layout = editor, editor.layout
        self.lines, self.units = editor.lines, editor.units
        self.i, self.j, self.start, self.end = i, j, start, end
        self.more = 1

    def run(self) -> _Doom | None:
        """Why there is no use in it; None when it is done."""
        units = self.units
        i, j, start, end = self.i, self.j, self.start, self.end
        while True:
            first = first_code(self.lines, start, end)
            before = units[i - 1] if i else None
            following = units[j] if j < len(units) else None
            orphans = following is not None and following.family is not None and not following.head
            if first is None:
                if orphans and following is not None and (before is None or before.family is not following.family):
                    j = self._end_of_class(j)
                    end = units[j - 1].end
                elif before is not None and before.head and not orphans:
                    i, start = i - 1, before.at
                    self.i, self.start = i, start
                else:
                    self.editor.installer.reserve(i, j, 0)
                    self.editor.installer.install(i, j, [])
                    return None
                continue
            kind = self._kind(i, first)
            if kind is None and before is not None:
                i, start = i - 1, before.at
                continue
            family = kind if isinstance(kind, Family) else None
            if family is None and j == i + 1 and units[i].head and orphans and self._header(i, first, end):
                return None
            if orphans and following is not None and following.family is not family:
                doom = self._peek(first, end, family)
                if doom is not None:
                    return doom
                j = self._end_of_class(j)
                end = units[j - 1].end
                continue
            error = self._parse(i, j, first, end, family)
            if error is None:
                return None
            if _is_certain(error):
                return self._doom(first, end, error)
            doom = self._peek(first, end, family)
            if doom is not None:
                return doom
            if isinstance(error, Outside):
                i -= 1
                while not (units[i].head and units[i].family is family):
                    i -= 1
                start = units[i].at
            elif j == len(units):
                return self._doom(first, EVERYTHING, self._error(first, end, family))
            else:
                j = min(len(units), j + self.more)
                self.more *= 2
                end = units[j - 1].end

    def _doom(self, first: int, end: int, error: SyntaxError) -> _Doom:
        line = first + (error.lineno or _BASE) - _BASE
        return _Doom(max(self.start - first, 0), max(end - self.end, 0), line, said(error))

    def _error(self, first: int, end: int, family: Family | None) -> SyntaxError:
        """What Python says of lines that it does not parse."""
        found = statements(readable(self.lines[first:end], first == 0), family is not None, _BASE)
        return found if isinstance(found, SyntaxError) else SyntaxError("invalid syntax", ("", _BASE, 0, ""))

    def _kind(self, i: int, first: int) -> object | None:
        """What a line that begins a unit at index `i` is part of: a family, or the module (`_TOP`).

        None if it may go on with what is before it.
        """
        line = readable(self.lines[first : first + 1], first == 0)[0]
        before = self.units[i - 1] if i else None
        if _CLAUSE.match(line):
            return None
        indented = level(line)
        if indented == (0, 0):
            return _TOP if before is None or not before.head else None
        if before is not None and before.family is not None and before.family.level == indented:
            return before.family
        return None

    def _end_of_class(self, j: int) -> int:
        units = self.units
        while j < len(units) and units[j].family is not None and not units[j].head:
            j += 1
        return j

    def _parse(self, i: int, j: int, first: int, end: int, family: Family | None) -> SyntaxError | None:
        """Parse these lines in the place of these units. An error if they do not parse, or may not end there."""
        installer = self.editor.installer
        lines = readable(self.lines[first:end], first == 0)
        base = installer.reserve(i, j, len(lines))
        found = statements(lines, family is not None, base, partial=True)
        if isinstance(found, SyntaxError):
            installer.release()
            found.lineno = (found.lineno or base) - base + _BASE
            return found
        drafts = split(found, lines, base, first, family)
        last = drafts[-1].end if drafts else first
        open_end = first_code(lines, last - first) is not None or (last > first and is_continued(self.lines[last - 1]))
        if open_end and end < len(self.lines):
            installer.release()
            return SyntaxError("incomplete input")
        installer.install(i, j, drafts)
        self.editor.changed.append((first, end))
        return None

    def _header(self, i: int, first: int, end: int) -> bool:
        """Parse these lines as the header of a class that the unit at index `i` is; whether they are one."""
        family = self.units[i].family
        assert family is not None
        lines = readable(self.lines[first:end], first == 0)
        while not has_code(lines[-1]):
            lines.pop()
        if is_continued(lines[-1]):
            return False
        installer = self.editor.installer
        base = installer.reserve(i, i + 1, len(lines))
        found = statements([*lines, f"{family.indent}pass\n"], False, base)
        if isinstance(found, SyntaxError) or len(found) != 1 or not isinstance(found[0], ast.ClassDef):
            installer.release()
            return False
        made = Family(found[0], family.level, family.indent)
        draft = Unit([found[0]], first, len(lines), base, len(lines), made, True)
        installer.install(i, i + 1, [draft])
        return True

    def _peek(self, first: int, end: int, family: Family | None) -> _Doom | None:
        """Whether the lines from `first` on do not parse whatever follows, as far as a few more of them tell."""
        stop = self._closing_quotes(first, end, family)
        for count in _PEEKS:
            found = 0
            while stop < len(self.lines) and found < count:
                found += has_code(self.lines[stop])
                stop += 1
            lines = readable(self.lines[first:stop], first == 0)
            error = statements(lines, family is not None, _BASE, partial=True)
            if isinstance(error, SyntaxError) and _is_certain(error):
                return self._doom(first, stop, error)
            if stop == len(self.lines):
                break
        return None

    def _closing_quotes(self, first: int, end: int, family: Family | None) -> int:
        """Where the lines end that the last string among these is part of."""
        error = self._error(first, end, family)
        if "triple-quoted" not in error.msg:
            return end
        line = self.lines[first + (error.lineno or _BASE) - _BASE]
        quotes = re.search("\"\"\"|'''", line[max((error.offset or 1) - 1, 0) :])
        if quotes is None:
            return end
        size = len(self.lines)
        return next((index + 1 for index in range(end, size) if quotes[0] in self.lines[index]), size)


def _is_certain(error: SyntaxError) -> bool:
    return not isinstance(error, Outside) and not may_go_on(error)
