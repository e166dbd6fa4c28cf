"""Functions that only hand on what another one gives them, such as those that make the sizes of a model: nobody in the
file calls them, and a few of them stand for all."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gradls.flow.chapters import Chapter
    from gradls.flow.run import Run
    from gradls.flow.values import Function

FEW = 2
"""So many functions that hand on what one function gives are followed into that in any case."""
MOST_STEPS = 20_000
"""The others are as long as these took fewer steps in all."""


class Seen(NamedTuple):
    """The functions that were followed into the one whose result they hand on."""

    functions: int = 0
    steps: int = 0


def handed_on(node: ast.AST) -> ast.Call | None:
    """The call whose result a function returns, if it does nothing else than to get the arguments ready."""
    if not isinstance(node, ast.FunctionDef):
        return None
    named: dict[str, ast.expr] = {}
    for statement in node.body:
        if isinstance(statement, ast.Return):
            value = statement.value
            given = named.get(value.id) if isinstance(value, ast.Name) else value
            return given if isinstance(given, ast.Call) else None
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if not isinstance(target, ast.Name):
                    return None
                named[target.id] = statement.value
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return None
    return None


def is_followed(run: Run, function: Function) -> bool:
    """Is the call followed that the function in hand hands on the result of?"""
    run.hands_on = None
    followed = not _enough(run, function.node)
    run.chapter.hands_on = function.node, followed
    return followed


def note(run: Run, chapter: Chapter) -> None:
    """A chapter is done, now or in an earlier run: it may stand for those that come."""
    if chapter.hands_on is not None and chapter.hands_on[1]:
        node = chapter.hands_on[0]
        functions, steps = run.handed_on.get(node, Seen())
        run.handed_on[node] = Seen(functions + 1, steps + chapter.steps)


def would_do_the_same(run: Run, chapter: Chapter) -> bool:
    """Would a chapter follow now what it followed then?"""
    return chapter.hands_on is None or _enough(run, chapter.hands_on[0]) is not chapter.hands_on[1]


def _enough(run: Run, node: ast.AST) -> bool:
    seen = run.handed_on.get(node)
    return seen is not None and seen.functions >= FEW and seen.steps >= MOST_STEPS
