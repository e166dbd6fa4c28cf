"""`match`: which of the cases it may come to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.flow import expressions, operators, truth
from gradls.flow.hierarchy import is_instance
from gradls.flow.values import Value, host
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run


def possible(run: Run, cases: list[ast.match_case], subject: Value) -> Iterator[tuple[ast.match_case, bool]]:
    """The cases that a subject may come to, and whether none behind it is come to."""
    for case in cases:
        verdict = matches(run, case.pattern, subject)
        if verdict is not False:
            certain = verdict is True and case.guard is None
            yield case, certain
            if certain:
                return


def matches(run: Run, pattern: ast.pattern, subject: Value) -> bool | None:
    """Does a value match a pattern? None if that is not known."""
    if isinstance(pattern, ast.MatchAs):
        return True if pattern.pattern is None else matches(run, pattern.pattern, subject)
    if isinstance(pattern, ast.MatchOr):
        verdicts = [matches(run, part, subject) for part in pattern.patterns]
        return True if True in verdicts else None if None in verdicts else False
    if isinstance(pattern, ast.MatchValue):
        wanted = expressions.eval_expr(run, pattern.value)
        return truth.truth(run, operators.compare(run, ast.Eq(), subject, wanted, pattern))
    if isinstance(pattern, ast.MatchSingleton):
        return truth.truth(run, operators.compare(run, ast.Is(), subject, host(pattern.value), pattern))
    if isinstance(pattern, ast.MatchClass):
        of_class = is_instance(subject, expressions.eval_expr(run, pattern.cls))
        return None if of_class and (pattern.patterns or pattern.kwd_patterns) else of_class
    return None


def bind(run: Run, pattern: ast.pattern, subject: Value) -> None:
    """Give the names in a pattern their values."""
    from gradls.flow.statements import bind as bind_name

    if isinstance(pattern, ast.MatchAs):
        if pattern.pattern is not None:
            bind(run, pattern.pattern, subject)
        if pattern.name is not None:
            bind_name(run, pattern.name, subject)
        return
    for node in walk(pattern):
        for name in (getattr(node, "name", None), getattr(node, "rest", None)):
            if isinstance(name, str):
                bind_name(run, name, run.unknown("pattern", name))
