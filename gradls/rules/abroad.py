"""Findings in other files than the one under analysis, told where this one calls what is wrong."""

from __future__ import annotations

import ast
import dataclasses
import os
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.graph import At
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.words import place


def told_here(facts: Facts, finding: Finding) -> Finding | None:
    """`finding`, which stands in another file, at the call in this file that led there; None if none did.

    It is information: between the two lies code that may be made for more than what this file does with it. What is
    information there, and to which nothing in this file contributes, is told there only.
    """
    is_doubtful = finding.severity in (Severity.INFORMATION, Severity.HINT)
    if is_doubtful and not any(step.place.source is facts.source for step in finding.story):
        return None
    call = _call_that_led_to(facts, finding)
    if call is None:
        return None
    where = f"{os.path.basename(finding.path)}, line {finding.span.line}"
    story = (Step(finding.place, "it happens here"), *finding.story)
    return dataclasses.replace(
        finding,
        severity=finding.severity if finding.severity is Severity.HINT else Severity.INFORMATION,
        place=place(call),
        message=f"{finding.message} (in {where})",
        story=story,
        fixes=(),
    )


def _call_that_led_to(facts: Facts, finding: Finding) -> At | None:
    """Of the calls in this file that lead to the function in which the finding stands, the one from the function in
    which the rest of its story happens, if there is one."""
    calls = list(_calls_that_lead_to(facts, finding.place.node))
    story = {facts.function(step.place.node) for step in finding.story if step.place.source is facts.source}
    return next((call for call in calls if facts.function(call.node) in story), calls[0] if calls else None)


def _calls_that_lead_to(facts: Facts, node: ast.AST) -> Iterator[At]:
    seen: set[ast.AST] = set()
    todo = [node]
    while todo and len(seen) < _MOST_FUNCTIONS:
        outer: ast.AST | None = todo.pop(0)
        while outer is not None and outer not in facts.entered:
            outer = facts.parent(outer)
        if outer is None or outer in seen:
            continue
        seen.add(outer)
        for call in facts.entered[outer]:
            if call.source is facts.source:
                yield call
            else:
                todo.append(call.node)


_MOST_FUNCTIONS = 100
