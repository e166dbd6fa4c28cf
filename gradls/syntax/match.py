"""Whether new nodes mean what old ones did, and where old ones stand now."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

from gradls.syntax.text import Change
from gradls.syntax.units import first_line

_AST = ast.AST


class Version(NamedTuple):
    """The lines that changed between an old and a new form of a unit, as virtual numbers of each form.

    Old statements before `old_start` or from `old_end` on are the new ones before `new_start` or from `new_end` on.
    """

    old_start: int
    old_end: int
    new_start: int
    new_end: int

    @classmethod
    def of(cls, change: Change, old_base: int, new_base: int) -> Version:
        return cls(
            change.start + old_base, change.old_end + old_base, change.start + new_base, change.new_end + new_base
        )

    def where_numbers_stay(self) -> Version:
        """The same, but all lines have changed that have other numbers now."""
        start = self.old_start if self.old_start == self.new_start else 0
        end = self.old_end if self.old_end == self.new_end else 1 << 60
        return Version(start, end, start, end)


UNKNOWN = Version(0, 1 << 60, 0, 1 << 60)


def same(old: Sequence[Any], new: Sequence[Any], version: Version) -> bool:
    """Whether the nodes of two lists have the same meaning: all is equal but their positions, and strings that stand
    by themselves, such as docstrings."""
    pairs = _inside(old, new, version)
    if pairs is None:
        return False
    while pairs:
        b, a = pairs.pop(), pairs.pop()
        if a.__class__ is not b.__class__:
            return False
        if a.__class__ is list:
            more = _inside(a, b, version)
            if more is None:
                return False
            pairs += more
            continue
        if not isinstance(a, _AST):
            if a != b:
                return False
            continue
        if a.__class__ is ast.Expr and _is_text(a) and _is_text(b):
            continue
        for name in a._fields:
            x, y = getattr(a, name, None), getattr(b, name, None)
            if x is y:
                continue
            if x.__class__ is list or isinstance(x, _AST):
                pairs += (x, y)
            elif x.__class__ is not y.__class__ or x != y:
                return False
    return True


def _inside(old: Sequence[Any], new: Sequence[Any], version: Version) -> list[Any] | None:
    """Pairs, one after the other, of what may differ; None if the lists do."""
    if len(old) != len(new):
        return None
    start, end = 0, len(old)
    if end and isinstance(old[0], ast.stmt) and isinstance(new[0], ast.stmt):
        while start < end and _are_before(old[start], new[start], version):
            start += 1
        while end > start and _are_behind(old[end - 1], new[end - 1], version):
            end -= 1
    return [node for pair in zip(old[start:end], new[start:end], strict=True) for node in pair]


def _are_before(old: Any, new: Any, version: Version) -> bool:
    """Whether two statements are the same one, before what has changed."""
    return (
        (old.end_lineno or 0) < version.old_start
        and (new.end_lineno or 0) < version.new_start
        and version.old_start - old.lineno == version.new_start - new.lineno
    )


def _are_behind(old: Any, new: Any, version: Version) -> bool:
    """Whether they are, behind it."""
    return (
        first_line(old) >= version.old_end
        and first_line(new) >= version.new_end
        and old.lineno - version.old_end == new.lineno - version.new_end
    )


def _is_text(statement: ast.Expr) -> bool:
    return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def same_header(old: ast.stmt, new: ast.stmt) -> bool:
    """Whether two definitions differ only in their bodies."""
    if old.__class__ is not new.__class__:
        return False
    names = [name for name in old._fields if name != "body"]
    return same([getattr(old, name, None) for name in names], [getattr(new, name, None) for name in names], UNKNOWN)


def follow(old: ast.AST, new: ast.AST, version: Version, header: bool = False) -> None:
    """Give the old nodes the positions of the new ones, which have the same meaning; `header`: but not in the body."""
    version = version.where_numbers_stay()
    pairs: list[Any] = [old, new]
    pop = pairs.pop
    while pairs:
        b, a = pop(), pop()
        if not isinstance(b, _AST):
            continue
        there = a.__dict__
        for name, y in b.__dict__.items():
            if y.__class__ is int or y.__class__ is str or y is None:
                there[name] = y  # a position, a text, or equal anyway
            elif y.__class__ is list:
                if not (header and a is old and name == "body"):
                    pairs += _inside(there[name], y, version) or ()
            elif isinstance(y, _AST):
                pairs += (there[name], y)
