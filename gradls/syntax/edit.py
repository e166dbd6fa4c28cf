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

from gradls.syntax.broken import Doom, StandIn
from gradls.syntax.gaps import INCOMPLETE, Outside, may_go_on, said, statements
from gradls.syntax.install import NOTHING, Installer, Touched
from gradls.syntax.layout import EVERYTHING, Layout
from gradls.syntax.text import (
    Change,
    first_code,
    first_code_of_text,
    has_code,
    is_continued,
    level,
    readable,
    scattered,
)
from gradls.syntax.units import Family, Unit, end_of, split, start_of

_CLAUSE = re.compile(r"\s*(?:(?:else|elif|except|finally)\b|\\)")
_PEEKS = (1, 4, 16, 64)  # lines of code
_TOP = object()
_BASE = 2


class Edit(NamedTuple):
    """What an edit of a text did to its tree.

    `blocks` are the nodes whose `body` is another list now: the module, a top-level class, a top-level function or a
    member function of a top-level class. `moved` says that nodes may stand elsewhere. `reworded` are statements of the
    module and members of its classes of which the text is another one, but not what it means.
    """

    blocks: tuple[ast.AST, ...]
    moved: bool
    reworded: tuple[ast.AST, ...] = ()


class Editor:
    """One edit of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lines = layout.lines
        self.units = layout.units
        self.installer = Installer(layout)
        self._judged: set[Unit] = set()
        """Broken units of which it has just been found out."""
        self.changed: list[tuple[int, int]] = []
        """The lines that have changed, or are in other units now, and may have to do with broken ones."""

    def edit(self, new: Sequence[str], change: Change) -> Edit:
        """Turn the text into `new`, from which it differs by `change`."""
        for each in scattered(self.lines, new, change):
            end = len(new) - len(self.lines) + each.old_end  # what is behind it is right already
            self._change(each, new[end - (each.new_end - each.start) : end])
        return Edit(self.installer.finish(), True, tuple(self.installer.reworded))

    def _change(self, change: Change, new: Sequence[str]) -> None:
        """Put lines in the place of others."""
        lines, units = self.lines, self.units
        self._judged.clear()
        i = bisect_right(units, change.start, key=end_of)
        j = bisect_left(units, change.old_end, lo=i, key=start_of)
        start, end = change.start, change.old_end
        if change.start == 0 and any(line.startswith("\ufeff") for line in [*lines[:1], *new[:1]]):
            i, j, start, end = 0, len(units), 0, len(lines)
        elif i < j:
            start, end = min(start, units[i].at), max(end, units[j - 1].end)
        self.installer.touched = Touched(range(i, j), lines[start:end], start, change.new_end, change.shift)
        lines[change.start : change.old_end] = new
        for unit in units[j:]:
            unit.at += change.shift
        self.changed.append((change.start, change.new_end))
        attempt = _Attempt(self, i, j, start, end + change.shift)
        doom = attempt.run()
        if doom is not None:
            stand_in = StandIn(self.layout, self.installer)
            self._judged.update(stand_in.put(attempt.i, attempt.j, attempt.start, attempt.end, doom))
        self.installer.touched = NOTHING
        self._check_again()

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


class _Attempt:
    """To parse the lines from `start` to `end`, and more if that is of use, and to put them in their place."""

    def __init__(self, editor: Editor, i: int, j: int, start: int, end: int) -> None:
        self.editor, self.layout = editor, editor.layout
        self.lines, self.units = editor.lines, editor.units
        self.i, self.j, self.start, self.end = i, j, start, end
        self.more = 1

    def run(self) -> Doom | None:
        """Why there is no use in it; None when it is done."""
        units = self.units
        i, j, start, end = self.i, self.j, self.start, self.end
        while True:
            first = first_code_of_text(self.lines, start, end)
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
            elif end == len(self.lines):
                return self._doom(first, EVERYTHING, self._error(first, end, family))
            else:
                j = min(len(units), j + self.more)
                self.more *= 2
                end = units[j - 1].end if j < len(units) else len(self.lines)

    def _doom(self, first: int, end: int, error: SyntaxError) -> Doom:
        line = first + (error.lineno or _BASE) - _BASE
        return Doom(max(self.start - first, 0), max(end - self.end, 0), line, said(error))

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
        if open_end:
            if end < len(self.lines):
                installer.release()
                return SyntaxError(INCOMPLETE)
            if drafts:
                drafts[-1].size = end - drafts[-1].at
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
        node = found[0] if isinstance(found, list) and len(found) == 1 else None
        if not isinstance(node, ast.ClassDef) or node.body[0].lineno != base + len(lines):
            installer.release()
            return False
        made = Family(node, family.level, family.indent)
        draft = Unit([node], first, len(lines), base, len(lines), made, True)
        installer.install(i, i + 1, [draft])
        return True

    def _peek(self, first: int, end: int, family: Family | None) -> Doom | None:
        """Whether the lines from `first` on do not parse whatever follows, as far as a few more of them tell."""
        error = self._error(first, end, family)
        closed = self._closing_quotes(first, end, error)
        if closed is None:
            return self._doom(first, EVERYTHING, error)
        stop = closed
        for count in _PEEKS:
            found = 0
            while stop < len(self.lines) and found < count:
                found += has_code(self.lines[stop])
                stop += 1
            lines = readable(self.lines[first:stop], first == 0)
            found_out = statements(lines, family is not None, _BASE, partial=True)
            if isinstance(found_out, SyntaxError) and _is_certain(found_out):
                return self._doom(first, stop, found_out)
            if stop == len(self.lines):
                break
        return None

    def _closing_quotes(self, first: int, end: int, error: SyntaxError) -> int | None:
        """Where the lines end that the last string among these is part of, which do not parse for `error`."""
        if "triple-quoted" not in error.msg:
            return end
        line = self.lines[first + (error.lineno or _BASE) - _BASE]
        quotes = re.search("\"\"\"|'''", line[max((error.offset or 1) - 1, 0) :])
        if quotes is None:
            return end
        return next((index + 1 for index in range(end, len(self.lines)) if quotes[0] in self.lines[index]), None)


def _is_certain(error: SyntaxError) -> bool:
    return not isinstance(error, Outside) and not may_go_on(error)
