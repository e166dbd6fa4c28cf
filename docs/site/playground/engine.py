"""What the playground asks gradls, in the browser: texts go in, what a page can show comes out as JSON.

Places in the text are offsets in UTF-16 units, as the editor of the page counts. Nothing here knows of Pyodide.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from gradls.rules.finding import Finding, TextEdit
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.session import Session

PATH = "playground.py"
Json = dict[str, Any]


def _utf16(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


class Places:
    """Converts between the lines and columns of gradls (both from 1, in code points) and offsets of an editor."""

    def __init__(self, text: str) -> None:
        self.lines = split_lines(text)
        self.starts = [0, *accumulate(map(_utf16, self.lines))]

    def offset(self, line: int, column: int) -> int:
        if line > len(self.lines):
            return self.starts[-1]
        return self.starts[line - 1] + _utf16(self.lines[line - 1][: column - 1])

    def place(self, offset: int) -> tuple[int, int]:
        line = min(bisect_right(self.starts, offset), len(self.lines))
        if not line:
            return 1, 1
        rest, column = offset - self.starts[line - 1], 1
        for character in self.lines[line - 1]:
            rest -= 2 if character > "\uffff" else 1
            if rest < 0:
                break
            column += 1
        return line, column

    def range(self, span: Span) -> Json:
        return {"from": self.offset(span.line, span.column), "to": self.offset(span.end_line, span.end_column)}


class Engine:
    """One text, and what gradls knows about it. Each answer is JSON."""

    def __init__(self) -> None:
        self._session = Session(None)
        self._text: str | None = None
        self._places = Places("")

    def check(self, text: str, hints: str) -> str:
        """All there is to show of a text: findings, hints ("off", "cuts" or "all"), what calls of `backward()` and
        `step()` do, tensors, and what could not be checked."""
        if self._text is None:
            self._session.open(PATH, text)
        elif text != self._text:
            self._session.change(PATH, text)
        self._text, self._places = text, Places(text)
        found = self._session.findings(PATH)
        return json.dumps(
            {
                "findings": [self._finding(finding) for finding in found],
                "hints": list(self._hints(hints, found)),
                "lenses": list(self._lenses()),
                "tensors": list(self._tensors()),
                "problems": [{"line": each.line, "message": each.message} for each in self._session.problems(PATH)],
            }
        )

    def fix(self, finding: int, fix: int) -> str:
        """The edits of a fix, by the numbers of the finding and the fix in the last answer of `check`; null if it
        cannot be made here. This, and `fix_all`, need LibCST."""
        edits = self._session.edits(self._session.findings(PATH)[finding].fixes[fix])
        return json.dumps(None if edits is None else self._edits(edits))

    def fix_all(self) -> str:
        """The edits of all safe fixes that can be made together."""
        return json.dumps(self._edits(self._session.fix_all(PATH)))

    def about(self, offset: int) -> str:
        """What is known of the tensor, module or optimizer at a place, in Markdown; null if there is none."""
        from gradls.explain.hover import about

        known = about(self._session.facts(PATH), *self._places.place(offset))
        if known is None:
            return json.dumps(None)
        return json.dumps({**self._places.range(known.span), "text": "\n\n".join(known.paragraphs)})

    def picture(self, line: int) -> str:
        """The gradient picture of a line, from 1, as SVG with a summary; or why there is none."""
        from gradls.picture.choose import NothingToDraw
        from gradls.picture.draw import picture
        from gradls.picture.layout import lay_out
        from gradls.picture.svg import svg

        try:
            drawn = picture(self._session, PATH, line)
        except (NothingToDraw, LookupError) as reason:
            return json.dumps({"reason": str(reason.args[0])})
        text = svg(drawn, lay_out(drawn, graphviz=False), lambda path: f"file:///{path}", alone=False)
        return json.dumps({"title": drawn.title, "summary": list(drawn.summary), "svg": text})

    def _finding(self, finding: Finding) -> Json:
        return {
            **self._places.range(finding.span),
            "line": finding.span.line,
            "severity": finding.severity.value,
            "code": finding.code,
            "name": finding.name,
            "message": finding.message,
            "story": [
                {**self._places.range(step.place.span), "line": step.place.span.line, "message": step.message}
                for step in finding.story
            ],
            "fixes": [{"title": fix.title, "safety": fix.safety.value} for fix in finding.fixes],
        }

    def _hints(self, which: str, found: Iterable[Finding]) -> Iterator[Json]:
        from gradls.explain.hints import hints

        for hint in hints(self._session.facts(PATH), 1, len(self._places.lines), which, found):
            yield {
                "at": self._places.offset(hint.line, hint.column),
                "label": hint.label,
                "about": "\n\n".join(hint.tooltip),
            }

    def _lenses(self) -> Iterator[Json]:
        from gradls.explain.lenses import lenses

        for lens in lenses(self._session.facts(PATH)):
            yield {"line": lens.span.line, "kind": lens.kind, "title": lens.title, "details": list(lens.details)}

    def _tensors(self) -> Iterator[Json]:
        source = self._session.source(PATH)
        for state in sorted(self._session.facts(PATH).states, key=lambda state: source.span(state.node)):
            yield {
                **self._places.range(source.span(state.node)),
                "line": source.line(state.node),
                "code": " ".join(source.segment(state.node).split()),
                "requiresGrad": state.requires_grad,
                "dtype": state.dtype,
                "leaf": state.leaf,
            }

    def _edits(self, edits: Sequence[TextEdit]) -> list[Json]:
        return [{**self._places.range(edit.span), "insert": edit.text} for edit in edits if edit.path == PATH]
