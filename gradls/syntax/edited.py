"""What to leave out of a broken text of which an older version is known: what has changed since then.

The older form of the changed lines stands in for them, so that what was known of the rest stays as it was while
somebody types. Where lines have gone, the old statement that they were part of goes, from the smallest outwards.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gradls.syntax.gaps import Gap, fill, is_code, tree_of
from gradls.syntax.text import Change, changed, indentation

# A change of more lines than this is no typing: each of its statements is looked at instead.
MOST_CHANGED = 60


class Past(NamedTuple):
    """What some lines were before, and the gaps without which they parsed."""

    lines: Sequence[str]
    gaps: Sequence[Gap]


def gaps_by_history(lines: Sequence[str], past: Past, inside: bool = False) -> Iterator[list[Gap]]:
    """Attempts at gaps without which the text parses, the smallest first. `inside`: the text is that of a block."""
    change = changed(past.lines, lines)
    if max(change.new_end, change.old_end) - change.start > MOST_CHANGED:
        return
    change, others = _with_touched(change, past.gaps)
    old_lines = fill(past.lines, past.gaps)
    for gap in _gaps(old_lines, lines, change, inside):
        apart = [other for other in others if other.end <= gap.start or other.start >= gap.end]
        yield _fewest(lines, sorted([gap, *apart]), gap, inside)


def left_out(lines: Sequence[str], gaps: Sequence[Gap]) -> int:
    """How many lines of code have nothing that stands in for them."""
    lost = 0
    for gap in gaps:
        code = sum(map(is_code, lines[gap.start : gap.end]))
        kept = sum(is_code(line) and line.strip() != "pass" for line in gap.lines)
        lost += max(0, code - kept)
    return lost


def _with_touched(change: Change, old_gaps: Sequence[Gap]) -> tuple[Change, list[Gap]]:
    """The change together with the gaps that it touches, and the other gaps, where they are now."""
    touched = [gap for gap in old_gaps if _meets(gap, change)]
    others = [
        gap if gap.start < change.start else gap._replace(start=gap.start + change.shift, end=gap.end + change.shift)
        for gap in old_gaps
        if gap not in touched
    ]
    start = min([change.start, *(gap.start for gap in touched)])
    old_end = max([change.old_end, *(gap.end for gap in touched)])
    return Change(start, old_end, old_end + change.shift), others


def _meets(gap: Gap, change: Change) -> bool:
    if change.start == change.old_end:  # new lines: also right before and after the gap
        return gap.start <= change.start <= gap.end
    return gap.start < change.old_end and change.start < gap.end


def _fewest(lines: Sequence[str], gaps: list[Gap], newest: Gap, inside: bool) -> list[Gap]:
    """Without those gaps whose lines are whole; the newest may be, and another be the only broken one."""
    for gap in [newest, *(each for each in gaps if each is not newest)]:
        if len(gaps) > 1:
            rest = [each for each in gaps if each is not gap]
            if isinstance(tree_of(fill(lines, rest), inside), ast.Module):
                gaps = rest
    return gaps


def _gaps(old_lines: Sequence[str], lines: Sequence[str], change: Change, inside: bool) -> Iterator[Gap]:
    """Gaps for a change: the old lines where there is room for them, else `pass` for the old statement."""
    old = tuple(line.rstrip("\r\n") for line in old_lines[change.start : change.old_end])
    if len(old) <= change.new_end - change.start:
        yield Gap(change.start, change.new_end, old)
    tree = tree_of(old_lines, inside)
    if isinstance(tree, SyntaxError):
        return
    if inside:
        ast.increment_lineno(tree, -1)
    for first, last in _statements(tree, change):
        margin = indentation(old_lines[first])
        start, end = min(first, change.start), max(last, change.old_end) + change.shift
        if end > start:
            yield Gap(start, end, (f"{margin}pass",))
        else:
            yield from _pass_near(lines, start, margin)


def _pass_near(lines: Sequence[str], at: int, margin: str) -> Iterator[Gap]:
    """A `pass` for a statement that is gone with its lines: in a blank line, or behind the header."""
    if at < len(lines) and not lines[at].strip():
        yield Gap(at, at + 1, (f"{margin}pass",))
    if at > 0:
        line = lines[at - 1].rstrip()
        yield Gap(at - 1, at, (f"{line} pass" if line else f"{margin}pass",))


def _statements(tree: ast.Module, change: Change) -> list[tuple[int, int]]:
    """First and end line of the old statements that a change is part of, from the smallest to the outermost."""
    found: list[tuple[int, int]] = []
    block: list[ast.stmt] | None = tree.body
    while block:
        touched = [each for each in block if _first(each) < change.old_end and change.start < (each.end_lineno or 0)]
        if not touched:
            break
        found.append((_first(touched[0]), touched[-1].end_lineno or 0))
        block = _block_around(touched[0], change) if len(touched) == 1 else None
    return found[::-1]


def _first(statement: ast.stmt) -> int:
    """The index of the first line of a statement, its decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return min(node.lineno for node in [*decorators, statement]) - 1


def _block_around(statement: ast.stmt, change: Change) -> list[ast.stmt] | None:
    """The block within a statement that the whole change lies in."""
    for parent in [statement, *getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if (
                isinstance(block, list)
                and block
                and _first(block[0]) <= change.start
                and change.old_end <= (block[-1].end_lineno or 0)
            ):
                return block
    return None
