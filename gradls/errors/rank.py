"""Which findings explain an error: those of rules that belong to its message, near the calls that raised it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from gradls.errors.table import Message
from gradls.rules.finding import Finding, Place, Severity

_OPERATION = re.compile(r"output \d+ of (?:[\w:]*::)?(\w+?)(?:Backward\d*)?\b(?:,| is )")
_SEVERITIES = list(Severity)


class Nearness(IntEnum):
    """Where a finding stands with respect to the calls of a traceback."""

    AT_THE_ERROR = 0
    ON_A_CALL = 1
    SAME_FILE = 2
    ELSEWHERE = 3


class Cause(NamedTuple):
    """A finding that may be what raised an error. `belongs` says that its rule is about the message."""

    finding: Finding
    belongs: bool
    nearness: Nearness

    @property
    def is_likely(self) -> bool:
        """Whether it is more than a possibility."""
        near = self.nearness <= Nearness.ON_A_CALL
        return self.finding.severity is Severity.ERROR or (self.belongs and near)


Line = tuple[str, int]
"""The absolute path of a file, and a line of it, from 1."""


def causes(
    findings: Iterable[Finding], message: Message | None, said: str, calls: Sequence[Line], forward: Sequence[Line] = ()
) -> list[Cause]:
    """The findings that may have raised what was `said`, most likely first.

    `calls` are the lines of the user's code that were running, the outermost first; `forward` those that made the node
    of the graph whose backward failed. A finding whose rule is not about the message counts only if it is an error on
    one of these lines.
    """
    rules = message.rules if message is not None else ()
    found = []
    for finding in findings:
        belongs = finding.code in rules
        nearness = _nearness(finding, calls, forward)
        if belongs or (finding.severity is Severity.ERROR and nearness <= Nearness.ON_A_CALL):
            found.append(Cause(finding, belongs, nearness))
    operation = _operation(said)

    def key(cause: Cause) -> tuple[object, ...]:
        finding = cause.finding
        return (
            not cause.belongs,
            _SEVERITIES.index(finding.severity) > 1,  # told under a condition
            cause.nearness,
            operation not in _words(finding) if operation else False,
            rules.index(finding.code) if cause.belongs else 0,
            _SEVERITIES.index(finding.severity),
            _distance(finding, calls),
            finding.span,
        )

    return sorted(found, key=key)


def _nearness(finding: Finding, calls: Sequence[Line], forward: Sequence[Line]) -> Nearness:
    places = [finding.place, *(step.place for step in finding.story)]
    if calls and any(_covers(place, calls[-1]) for place in places):
        return Nearness.AT_THE_ERROR
    if any(_covers(place, line) for place in places for line in [*calls, *forward]):
        return Nearness.ON_A_CALL
    paths = {path for path, _ in calls}
    return Nearness.SAME_FILE if os.path.abspath(finding.path) in paths else Nearness.ELSEWHERE


def _covers(place: Place, line: Line) -> bool:
    span = place.span
    return os.path.abspath(place.source.path) == line[0] and span.line <= line[1] <= span.end_line


def _distance(finding: Finding, calls: Sequence[Line]) -> int:
    """How many lines there are from it to the nearest call in the same file."""
    path = os.path.abspath(finding.path)
    return min((abs(finding.span.line - line) for of, line in calls if of == path), default=1_000_000)


def _operation(said: str) -> str:
    """The operation that made the tensor which the message is about, in lower case; empty if it names none."""
    found = _OPERATION.search(said)
    return found[1].lower() if found else ""


def _words(finding: Finding) -> str:
    texts = [finding.message, *(step.place.source.segment(step.place.node) for step in finding.story)]
    return " ".join(texts).lower().replace("_", "")
