"""Findings in other files than the one under analysis, told where this one calls what is wrong."""

from __future__ import annotations

import ast
import dataclasses
import os

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
    call = _call_that_led_to(facts, finding.place.node)
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


def _call_that_led_to(facts: Facts, node: ast.AST) -> At | None:
    for _ in range(100):
        outer: ast.AST | None = node
        while outer is not None and outer not in facts.entered:
            outer = facts.parent(outer)
        if outer is None:
            return None
        call = facts.entered[outer]
        if call.source is facts.source:
            return call
        node = call.node
    return None
