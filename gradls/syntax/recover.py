"""What to leave out of a broken text of which no older version is known.

Indentation says where statements begin, even where brackets and quotes do not close: statements are parsed one by one,
halving them to find the broken ones, and within a broken block its own statements are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import NamedTuple

from gradls.syntax.gaps import Gap, fill, is_code, said, tree_of
from gradls.syntax.text import indentation, level

_MOST_TRIES = 2000
_LONGEST_HEADER = 40  # lines
_MOST_MERGED = 40

# What goes on with the statement before it.
_CONTINUES = re.compile(r"\s*(?:(?:else|elif|except|finally)\b|[)\]}])")
_CLAUSE = re.compile(r"\s*(?:else|elif|except|finally)\b")
_BLOCK = re.compile(
    r"\s*(?:async\s+)?(?:def|class|for|while|if|with|try|match|else|elif|except|finally)\b|.*:\s*(?:#.*)?$"
)
# What hardly stands at the start of a line within a string or brackets.
_SURELY_CODE = re.compile(r"\s*(?:@|(?:async\s+def|def|class|import|from)\s)")
_DEFINITION = re.compile(r"(?P<keyword>\s*(?:async\s+def|def|class)\s+)(?P<name>\w+)")


class _Item(NamedTuple):
    """The lines of one statement, as indices."""

    start: int
    end: int


def gaps_by_indentation(lines: Sequence[str], margin: str = "") -> list[Gap]:
    """The gaps without which the text parses, as far as can be found; `margin` is what a block is indented by."""
    return _Recovery(lines).block(0, len(lines), margin)


def _width(line: str) -> int:
    return level(line)[0]


class _Recovery:
    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.tries = 0

    def error(self, start: int, end: int, gaps: Sequence[Gap] = (), margin: str = "") -> SyntaxError | None:
        """Why the lines do not parse by themselves."""
        self.tries += 1
        shifted = [gap._replace(start=gap.start - start, end=gap.end - start) for gap in gaps]
        tree = tree_of(fill(self.lines[start:end], shifted), bool(margin))
        return None if isinstance(tree, ast.Module) else tree

    def block(self, start: int, end: int, margin: str) -> list[Gap]:
        """The gaps in the statements of a block, which is indented by `margin`."""
        items = self.items(start, end, _width(margin))
        broken = self.broken(items, margin) if items else []
        gaps: list[Gap] = []
        done = start
        for item in broken:
            if item.start >= done:
                merged = self.merged(items, item, margin)
                gaps += [] if merged else self.item(item, margin)
                done = merged or item.end
        return gaps

    def items(self, start: int, end: int, indent: int) -> list[_Item]:
        """The statements of a block, by their indentation."""
        starts: list[int] = []
        for index in range(start, end):
            line = self.lines[index]
            if not is_code(line):
                continue
            if not starts or (_width(line) <= indent and not _CONTINUES.match(line)):
                starts.append(index)
        items = [_Item(start, end) for start, end in zip(starts, [*starts[1:], end], strict=False)]
        return self._with_decorators(items)

    def _with_decorators(self, items: list[_Item]) -> list[_Item]:
        joined: list[_Item] = []
        for item in items:
            if (
                joined
                and self.lines[joined[-1].start].lstrip().startswith("@")
                and self._is_only_decorators(joined[-1])
            ):
                joined[-1] = _Item(joined[-1].start, item.end)
            else:
                joined.append(item)
        return joined

    def _is_only_decorators(self, item: _Item) -> bool:
        level = _width(self.lines[item.start])
        same = [line for line in self.lines[item.start : item.end] if is_code(line) and _width(line) <= level]
        return all(line.lstrip().startswith(("@", ")", "]", "}")) for line in same)

    def broken(self, items: Sequence[_Item], margin: str) -> list[_Item]:
        """The statements that do not parse by themselves."""
        if self.error(items[0].start, items[-1].end, (), margin) is None:
            return []
        if len(items) == 1 or self.tries > _MOST_TRIES:
            return list(items)
        middle = len(items) // 2
        found = self.broken(items[:middle], margin) + self.broken(items[middle:], margin)
        # Each may be right by itself, and not stand where the others do.
        return found or [item for item in items if indentation(self.lines[item.start]) != margin]

    def merged(self, items: Sequence[_Item], item: _Item, margin: str) -> int:
        """Where the statement ends if it goes on over lines that are indented less than it, else 0."""
        position = items.index(item)
        for following in items[position + 1 : position + 1 + _MOST_MERGED]:
            if _SURELY_CODE.match(self.lines[following.start]) or self.tries > _MOST_TRIES:
                break
            if self.error(item.start, following.end, (), margin) is None:
                return following.end
        return 0

    def item(self, item: _Item, margin: str) -> list[Gap]:
        """The gaps in a broken statement: within its block if it has one."""
        error = self.error(item.start, item.end, (), margin)
        message = said(error) if error else "invalid syntax"
        end = next(
            index + 1 for index in range(item.end - 1, -1, -1) if self.lines[index].strip() or index == item.start
        )
        whole = Gap(item.start, end, (f"{margin}pass",), message)
        if error is None or self.tries > _MOST_TRIES or not _BLOCK.match(self.lines[self._definition(item)]):
            return [whole]
        gaps: list[Gap] = []
        for start, end in self.clauses(item):
            gaps += self.clause(start, end, margin, message)
        return gaps if gaps and self.error(item.start, item.end, gaps, margin) is None else [whole]

    def _definition(self, item: _Item) -> int:
        """The line after the decorators."""
        level = _width(self.lines[item.start])
        for index in range(item.start, item.end):
            line = self.lines[index]
            if is_code(line) and _width(line) <= level and not line.lstrip().startswith(("@", ")", "]", "}")):
                return index
        return item.start

    def clauses(self, item: _Item) -> list[tuple[int, int]]:
        """The statement itself and its `else`, `except` and so on, as lines from and to."""
        level = _width(self.lines[item.start])
        starts = [item.start] + [
            index
            for index in range(item.start + 1, item.end)
            if _width(self.lines[index]) <= level and _CLAUSE.match(self.lines[index])
        ]
        return list(zip(starts, [*starts[1:], item.end], strict=True))

    def clause(self, start: int, end: int, margin: str, message: str) -> list[Gap]:
        """The gaps in a header and in the block that follows it."""
        body, gaps = self.header(start, end, margin, message)
        first = next((index for index in range(body, end) if is_code(self.lines[index])), None)
        if first is None or _width(self.lines[first]) <= _width(self.lines[start]):
            return gaps
        return gaps + self.block(first, end, indentation(self.lines[first]))

    def header(self, start: int, end: int, margin: str, message: str) -> tuple[int, list[Gap]]:
        """Where the header ends, and the gap that repairs it."""
        if _CLAUSE.match(self.lines[start]) or self.lines[start].strip() == "try:":
            return start + 1, []  # of no meaning by itself
        stop = min(end, start + _LONGEST_HEADER)
        for index in range(start, stop):
            if ":" in self.lines[index]:
                self.tries += 1
                # Only the header: with a body that is not broken it would be found too late.
                tree = tree_of([*self.lines[start : index + 1], f"{margin} pass\n"], bool(margin))
                if isinstance(tree, ast.Module):
                    return index + 1, []
        at = self._definition(_Item(start, end))
        line = self.lines[at].rstrip("\r\n")
        name = _DEFINITION.match(line)
        repairs = [f"{line}:", f"{line}):", f"{line})):"]
        if name:
            parameters = "" if "class" in name["keyword"] else "(*args, **kwargs)"
            repairs.append(f"{name['keyword']}{name['name']}{parameters}:")
        repairs.append(f"{margin}if 1:")
        for repair in repairs:
            if isinstance(tree_of([f"{repair}\n", f"{margin} pass\n"], bool(margin)), ast.Module):
                return at + 1, [Gap(start, at + 1, (*[""] * (at - start), repair), message)]
        return at + 1, []
