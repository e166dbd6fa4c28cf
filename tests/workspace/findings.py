"""Findings made by hand, for what treats all findings alike."""

from __future__ import annotations

import ast

from gradls.rules.finding import Finding, Place, Severity
from gradls.syntax.source import Source


def finding_at(
    source: Source, line: int, code: str = "GRD101", name: str = "detached-loss", severity: Severity = Severity.ERROR
) -> Finding:
    """A finding on the first expression that begins on `line`."""
    node = next(n for n in ast.walk(source.tree) if isinstance(n, ast.expr) and source.line(n) == line)
    return Finding(code, name, severity, Place(source, node), "a message")
