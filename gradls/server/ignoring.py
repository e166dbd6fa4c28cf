"""The edit that silences a finding with a comment."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from gradls.rules.finding import Finding, TextEdit
from gradls.syntax.source import Source, Span

_LIST = re.compile(r"#\s*gradls:\s*ignore\s*\[(?P<rules>[^\]]*)\]", re.IGNORECASE)


def ignore_edit(finding: Finding) -> TextEdit | None:
    """Adds `# gradls: ignore[name]` on the first line of `finding`, or on its last one where the first ends inside of
    a string or with a backslash. None if neither can take a comment."""
    source, span = finding.place.source, finding.span
    for line in (span.line, span.end_line):
        if line > len(source.lines) or source.lines[line - 1].rstrip("\r\n").endswith("\\"):
            continue
        strings = list(_strings(source, line))
        if not any(string.line <= line < string.end_line for string in strings):
            return _comment(source, line, strings, finding.name)
    return None


def _comment(source: Source, line: int, strings: list[Span], name: str) -> TextEdit:
    text = source.lines[line - 1].rstrip("\r\n")
    for present in _LIST.finditer(text):
        start = (line, present.start() + 1)
        if not any(string[:2] <= start < string[2:] for string in strings):
            at = present.end("rules") + 1
            return TextEdit(source.path, Span(line, at, line, at), f", {name}" if present["rules"].strip() else name)
    # White space that is there stays: nothing else on the line is changed.
    at, gap = len(text) + 1, " " * (2 - min(2, len(text) - len(text.rstrip(" \t"))))
    return TextEdit(source.path, Span(line, at, line, at), f"{gap}# gradls: ignore[{name}]")


def _strings(source: Source, line: int) -> Iterator[Span]:
    """The strings in the top-level statement that `line` is in."""
    for statement in source.tree.body:
        span = source.span(statement)
        if span.line <= line <= span.end_line:
            for node in ast.walk(statement):
                is_text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
                if is_text or isinstance(node, ast.JoinedStr):
                    yield source.span(node)
