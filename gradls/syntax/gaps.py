"""Lines that are left out so that the rest of a broken text parses, and what stands in for them."""

from __future__ import annotations

import ast
import codeop
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gradls.syntax.text import first_code, is_continued

_LINE_NUMBER = re.compile(r" (?:\(detected at line \d+\)|(?:after [^\n]* )?on line \d+)")
# Python 3.10 cannot tell.
_PARTIAL_KNOWN = hasattr(codeop, "PyCF_ALLOW_INCOMPLETE_INPUT")
INCOMPLETE = "incomplete input"
_PARTIAL = ast.PyCF_ONLY_AST | getattr(codeop, "PyCF_ALLOW_INCOMPLETE_INPUT", 0)


class Gap(NamedTuple):
    """The lines from index `start` up to `end` are left out (from 0, the end exclusive).

    `lines`, without line ends and no more than are left out, stand in for them; the rest is blank.
    """

    start: int
    end: int
    lines: tuple[str, ...] = ()
    message: str = "invalid syntax"


def fill(lines: Sequence[str], gaps: Iterable[Gap]) -> list[str]:
    """As many lines as before, the gaps filled."""
    filled = list(lines)
    for gap in gaps:
        inside = [*gap.lines, *[""] * (gap.end - gap.start - len(gap.lines))]
        if inside and not inside[0] and gap.start and filled[gap.start - 1].endswith("\r"):
            inside[0] = " "  # else both ends would be one
        filled[gap.start : gap.end] = [f"{line}\n" for line in inside]
    return filled


class Outside(SyntaxError):
    """Lines that were to be a block go on behind its end."""


def tree_of(lines: Sequence[str], inside: bool = False) -> ast.Module | SyntaxError:
    """The tree of a text, or why there is none. `inside` says that it is that of a block, whose first line is then
    the second."""
    found = statements(lines, inside, 1 + inside)
    return found if isinstance(found, SyntaxError) else ast.Module(body=found, type_ignores=[])


def statements(lines: Sequence[str], inside: bool, base: int, partial: bool = False) -> list[ast.stmt] | SyntaxError:
    """The statements of a text of which the first line has the number `base`, or why it has none.

    `inside` says that they are those of a block, indented; `base` is then at least 2. With `partial` the error says
    whether the parser had read all of the text when it gave up (see `may_go_on`).
    """
    if inside and first_code(lines) is None:
        return []
    above = "\n" * (base - 2) + "if 1:\n" if inside else "\n" * (base - 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python warns of in user code is not ours to say
            flags = _PARTIAL if partial else ast.PyCF_ONLY_AST
            tree = compile(above + "".join(lines), "<text>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        # From 3.12 on Python takes an f-string for an error that has only not been closed yet.
        if partial and ("triple-quoted" in error.msg or (lines and is_continued(lines[-1]))):
            error.msg = INCOMPLETE
        # Its traceback would hold the callers' frames, and they it: only the collector could free the lines.
        return error.with_traceback(None)
    except (ValueError, RecursionError, MemoryError) as error:
        too_deep = "is nested too deeply" if not isinstance(error, ValueError) else str(error)
        return SyntaxError(too_deep, ("", base, 0, ""))
    found: list[ast.stmt] = tree.body
    if not inside:
        return found
    block = found[0]
    if len(found) > 1 or not isinstance(block, ast.If) or block.orelse:
        return Outside("unindent", ("", found[-1].lineno, 0, ""))
    return block.body


def may_go_on(error: SyntaxError) -> bool:
    """Whether more lines could mend what `statements` with `partial` has found."""
    return not _PARTIAL_KNOWN or error.msg == INCOMPLETE


def said(error: SyntaxError) -> str:
    """What Python says of an error, without line numbers: they count from the start of what it was given."""
    return _LINE_NUMBER.sub("", error.msg)


def is_code(line: str) -> bool:
    """Whether a line is neither blank nor a comment."""
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def keep_inside(nodes: Iterable[ast.AST], gap: Gap, lines: Sequence[str], base: int = 1) -> None:
    """Move the columns of nodes that stand in for the lines of a gap so that they do not lie behind a line's end.

    `base` is the number that the nodes know the first of `lines` by.
    """
    ends = [len(line.rstrip("\r\n").encode("utf-8", "surrogatepass")) for line in lines[gap.start : gap.end]]
    first, last = base + gap.start, base + gap.end - 1
    stack = list(nodes)
    while stack:
        node = stack.pop()
        line, end_line = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if line is None or end_line is None:
            stack += ast.iter_child_nodes(node)
        elif line <= last and (end_line >= first or getattr(node, "decorator_list", None)):
            if first <= line:
                node.col_offset = min(node.col_offset, ends[line - first])  # type: ignore[attr-defined]
            if first <= end_line <= last:
                node.end_col_offset = min(node.end_col_offset, ends[end_line - first])  # type: ignore[attr-defined]
            stack += ast.iter_child_nodes(node)
