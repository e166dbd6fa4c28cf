"""What stands between cells in the module that they make, and what follows from it for a line of the module.

Percent scripts have such lines, too.
"""

from __future__ import annotations

import ast

from gradls.syntax.source import Source
from gradls.syntax.text import has_code

SEPARATOR = "# %%\n"
BLOCK_FOLLOWS = "if 1:  # %%\n"
"""The separator before a cell that is indented as a whole, which IPython allows."""
_MARKS = ("# %%", "#%%", "# In[", "# <codecell>", BLOCK_FOLLOWS)
"""What a cell begins with, as editors write it, or what turns notebooks into scripts."""


def is_notebook(source: Source) -> bool:
    """Whether a text is a module that cells were made into."""
    return bool(source.lines) and source.lines[0] in (SEPARATOR, BLOCK_FOLLOWS) and source.lines[-1] == SEPARATOR


def line_in_words(source: Source, line: int) -> str:
    """ "line 12"; in a notebook, where nobody sees the lines counted over all cells, "line 3 of code cell 2"."""
    cell = cell_of(source, line)
    return f"line {line}" if cell is None else f"line {cell[1]} of code cell {cell[0]}"


def cell_of(source: Source, line: int) -> tuple[int, int] | None:
    """The code cell, from 1, and its line for a line of a notebook; None in other texts."""
    if not is_notebook(source):
        return None
    starts = [number for number, text in enumerate(source.lines[:line], 1) if text in (SEPARATOR, BLOCK_FOLLOWS)]
    return len(starts), line - starts[-1]


def is_rerun(source: Source, node: ast.AST) -> bool:
    """Whether a node stands in a cell of a notebook, outside of functions and classes: it may be run any number of
    times, and nobody can tell what is run in between."""
    if not is_notebook(source):
        return False
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    return not isinstance(node, scopes) and not any(isinstance(above, scopes) for above in source.parents(node))


def is_shown(source: Source, node: ast.AST) -> bool:
    """Whether a statement is the last one of a cell, of a notebook or a percent script: its value is shown."""
    span = source.span(node)
    if span.column > 1:
        return False
    for text in source.lines[span.end_line :]:
        if text.startswith(_MARKS):
            return True
        if has_code(text):
            return False
    return any(text.startswith(_MARKS) for text in source.lines[: span.line])
