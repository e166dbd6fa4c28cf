"""Lines that are left out so that the rest of a broken text parses, and what stands in for them."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple


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
        filled[gap.start : gap.end] = [f"{line}\n" for line in inside]
    return filled


def tree_of(lines: Iterable[str]) -> ast.Module | SyntaxError:
    """The tree of a text, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python warns of in user code is not ours to say
            return ast.parse("".join(lines))
    except SyntaxError as error:
        # Its traceback would hold the callers' frames, and they it: only the collector could free the lines.
        return error.with_traceback(None)
    except (ValueError, RecursionError, MemoryError) as error:
        too_deep = "is nested too deeply" if not isinstance(error, ValueError) else str(error)
        return SyntaxError(too_deep, ("", 1, 0, ""))


def indentation(line: str) -> str:
    """The white space that a line starts with."""
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def width(line: str) -> int:
    """How far a line is indented, as Python counts it."""
    return len(indentation(line).rpartition("\f")[2].expandtabs(8))


def is_code(line: str) -> bool:
    """Whether a line is neither blank nor a comment."""
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def keep_inside(tree: ast.AST, gap: Gap, lines: Sequence[str]) -> None:
    """Move the columns of nodes that stand in for the lines of a gap so that they do not lie behind a line's end."""
    ends = [len(line.rstrip("\r\n").encode("utf-8", "surrogatepass")) for line in lines[gap.start : gap.end]]
    stack = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            line, end_line = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
            if line is None or end_line is None:
                stack.append(node)
            elif line <= gap.end and (end_line > gap.start or getattr(node, "decorator_list", None)):
                if gap.start < line <= gap.end:
                    node.col_offset = min(node.col_offset, ends[line - gap.start - 1])  # type: ignore[attr-defined]
                if gap.start < end_line <= gap.end:
                    node.end_col_offset = min(node.end_col_offset, ends[end_line - gap.start - 1])  # type: ignore[attr-defined]
                stack.append(node)
