"""Comments that silence findings: `# gradls: ignore`, `# gradls: ignore[name, code]`, `# gradls: ignore-file`.

A finding is silenced by a comment on its first or its last line. This runs on every keystroke, and tokenizing a large
file takes tens of milliseconds: only the statements that hold a candidate are tokenized, and the last ones are kept.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from functools import lru_cache

from gradls.rules.finding import Finding
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines

_IGNORE = re.compile(r"#\s*gradls:\s*ignore(?P<file>-file)?(?![\w-])\s*(?:\[(?P<rules>[^\]]*)\])?", re.IGNORECASE)


class Suppressions:
    """The silencing comments of one text."""

    def __init__(self, source: Source) -> None:
        self._lines = source.lines
        self._blocks = _Blocks(source)
        self._file = self._of_file() if _mentions(source.text, "ignore-file") else []

    def apply(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those of `findings` that no comment silences."""
        return [finding for finding in findings if not self._silenced(finding)]

    def _silenced(self, finding: Finding) -> bool:
        if any(_covers(rules, finding) for rules in self._file):
            return True
        span = finding.span
        return any(
            _covers(rules, finding)
            for line in {span.line, span.end_line}
            if _mentions(self._text(line), "gradls")
            for whole_file, rules in _directives(self._blocks.comments_at(line))
            if not whole_file
        )

    def _text(self, line: int) -> str:
        return self._lines[line - 1] if line <= len(self._lines) else ""

    def _of_file(self) -> list[frozenset[str]]:
        candidates = [n for n, text in enumerate(self._lines, 1) if _mentions(text, "ignore-file")]
        return [
            rules
            for line in candidates
            for whole_file, rules in _directives(self._blocks.comments_at(line))
            if whole_file
        ]


def _mentions(text: str, word: str) -> bool:
    return word in text or word in text.lower()


def _covers(rules: frozenset[str], finding: Finding) -> bool:
    return not rules or finding.code.lower() in rules or finding.name.lower() in rules


def _directives(comments: Iterable[str]) -> Iterable[tuple[bool, frozenset[str]]]:
    """Whether each is for the whole file, and the rules that it names in lower case (none: all rules)."""
    for comment in comments:
        for match in _IGNORE.finditer(comment):
            rules = frozenset(rule.strip().lower() for rule in (match["rules"] or "").split(",") if rule.strip())
            yield match["file"] is not None, rules


def rules_at(source: Source, line: int, column: int) -> tuple[tuple[int, int], list[str]] | None:
    """The rules that a silencing comment names at a 1-based place: the one there, or all if it is none of them; with
    the columns of the comment, the end exclusive. None if there is no such comment."""
    if line > len(source.lines) or not _mentions(source.lines[line - 1], "gradls"):
        return None
    for comment in _Blocks(source).comments_at(line):
        start = source.lines[line - 1].rfind(comment) + 1
        for match in _IGNORE.finditer(comment):
            if start + match.start() <= column <= start + match.end():
                words = [*re.finditer(r"[^,\s]+", match["rules"] or "")]
                first = start + match.start("rules")
                here = [word[0] for word in words if first + word.start() <= column <= first + word.end()]
                return (start + match.start(), start + match.end()), here or [word[0] for word in words]
    return None


class _Blocks:
    """The text in blocks, each a statement with the blank and comment lines before it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def comments_at(self, line: int) -> tuple[str, ...]:
        """The comments on a 1-based line: none where a `#` only stands in a string."""
        lines = self._source.around(line)
        return _comments("".join(self._source.lines[lines.start : lines.stop])).get(line - lines.start, ())


@lru_cache(maxsize=256)
def _comments(block: str) -> dict[int, tuple[str, ...]]:
    """The comments of a text by 1-based line."""
    found: dict[int, tuple[str, ...]] = {}
    last = 0
    lines = split_lines(block)
    try:
        for token in tokenize.generate_tokens(io.StringIO(block).readline):
            last = token.end[0]
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = (token.string,)
    except (tokenize.TokenError, SyntaxError):
        # Half-typed text: each line that is left speaks for itself.
        for number in range(last + 1, len(lines) + 1):
            found[number] = _comments_of_line(lines[number - 1])
    return found


def _comments_of_line(line: str) -> tuple[str, ...]:
    try:
        tokens = tokenize.generate_tokens(io.StringIO(line.strip()).readline)
        return tuple(token.string for token in tokens if token.type == tokenize.COMMENT)
    except (tokenize.TokenError, SyntaxError):
        return ()
