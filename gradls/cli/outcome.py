"""What a run of `gradls check` came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gradls.cli.records import Record, Report
from gradls.rules.finding import Severity

_RANKS = {severity.value: rank for rank, severity in enumerate(reversed(Severity))}


@dataclass(slots=True)
class Outcome:
    """The `reports` on files, with the findings that are to be told; `problems` of configurations, as errors.

    `known` of the findings are in the baseline and not told, None if there is no baseline; `gone` are in it, and not
    found any more. `fixes` counts the fixes that were made, by the code and name of the rule, and `fixed` has the texts
    from stdin with theirs.
    """

    reports: list[Report]
    problems: list[Record] = field(default_factory=list)
    known: int | None = None
    gone: int = 0
    fixes: dict[tuple[str, str], int] = field(default_factory=dict)
    fixed: list[bytes] = field(default_factory=list)

    @property
    def findings(self) -> list[Record]:
        """All findings that are to be told."""
        return [finding for report in self.reports for finding in report.findings]

    @property
    def errors(self) -> list[Record]:
        """All that could not be read, parsed or done."""
        return [*self.problems, *(error for report in self.reports for error in report.errors)]


def at_least(severity: str) -> Callable[[Record], bool]:
    """Whether a finding is as severe as that."""
    least = _RANKS[severity]
    return lambda finding: _RANKS[finding["severity"]] >= least
