"""The edit that silences a finding with a comment."""

from __future__ import annotations

import ast
import re

from gradls.rules.finding import Finding, TextEdit
from gradls.syntax.source import Source, Span

_LIST = re.compile(r"#\s*gradls:\s*ignore\s*\[(?P<rules>[^\]]*)\]", re.IGNORECASE)


def ignore_edit(finding: Finding) -> TextEdit | None:
    """Adds `# gradls: ignore[name]` on the first line of `finding`, or on its last one where the first ends inside of
    a string or with a backslash. None if neither can take a comment."""
    source, span = finding.place.source, finding.span
    for line in (span.line, span.end_line):
        if line <= len(source.lines) and _takes_comment(source, line):
            return _comment(source, line, finding.name)
    return None


def _comment(source: Source, line: int, name: str) -> TextEdit:
    text = source.lines[line - 1].rstrip("\r\n")
    present = _LIST.search(text)
    if present is not None:
        at = present.end("rules") + 1
        return TextEdit(source.path, Span(line, at, line, at), f", {name}" if present["rules"].strip() else name)
    at = len(text.rstrip()) + 1
    return TextEdit(source.path, Span(line, at, line, len(text) + 1), f"  # gradls: ignore[{name}]")


def _takes_comment(source: Source, line: int) -> bool:
    if source.lines[line - 1].rstrip("\r\n").endswith("\\"):
        return False
    statement = next((node for node in source.tree.body if node.lineno <= line <= (node.end_lineno or 0)), None)
    return statement is None or not any(_runs_over(node, line) for node in ast.walk(statement))


def _runs_over(node: ast.AST, line: int) -> bool:
    """Whether `node` is a string that goes on after the end of `line`."""
    is_string = isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
    return is_string and node.lineno <= line < (node.end_lineno or 0)  # type: ignore[attr-defined]
