"""From the places that a finding tells of to the finding: a cut, and what comes of it, may be far from each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gradls.rules.finding import Finding, Severity, Step
from gradls.syntax.source import Source, Span


class Lead(NamedTuple):
    """`step`, a link of the story of `finding`, stands elsewhere than the finding."""

    step: Step
    finding: Finding

    @property
    def span(self) -> Span:
        """Where the step stands."""
        return self.step.place.span


def leads(findings: Iterable[Finding], source: Source) -> Iterator[Lead]:
    """What the stories of findings tell of in `source`, on other lines than the findings, each place once a finding."""
    for finding in findings:
        own = finding.span
        seen: set[Span] = set()
        for step in finding.story:
            if step.place.source is not source:
                continue
            span = step.place.span
            same = finding.place.source is source and own.line <= span.line <= own.end_line
            if not same and span not in seen:
                seen.add(span)
                yield Lead(step, finding)


def is_loud(finding: Finding) -> bool:
    """Is it worth being mentioned elsewhere, where nobody asked?"""
    return finding.severity in (Severity.ERROR, Severity.WARNING)
