"""Known findings: which baseline counts for which file, and what is new beside it."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gradls.cli.fingerprints import identity_of
from gradls.cli.inputs import Task, UsageError
from gradls.cli.outcome import Outcome
from gradls.cli.output import warn
from gradls.cli.records import Record, Report
from gradls.rules.registry import rules_by_key
from gradls.workspace.baseline import BadBaseline, Baseline, Known
from gradls.workspace.config import Config
from gradls.workspace.selection import heaviest

DEFAULT = "gradls-baseline.json"


class Baselines:
    """The baselines of one run."""

    def __init__(self, arguments: argparse.Namespace, tasks: Sequence[Task]) -> None:
        """Read them. UsageError if one is not there, unless it is to be written, or not to be read."""
        self._arguments = arguments
        self._by_path: dict[str, Baseline] = {}
        self._of_file: dict[str, Baseline] = {}
        self._by_default = False
        for task in tasks:
            path = self._path(task.config)
            if path is not None and not task.path.startswith("<"):
                if path not in self._by_path:
                    self._by_path[path] = self._read(path)
                self._of_file[task.path] = self._by_path[path]
        if arguments.prune_baseline and not self._by_path:
            raise UsageError("there is no baseline to prune: --baseline FILE says which")

    def apply(self, outcome: Outcome) -> None:
        """Take what is known from the findings that are to be told. Before that, write or prune the baselines if the
        arguments say so. OSError, with the file's name, if one cannot be written."""
        for baseline in self._by_path.values():
            reports = [report for report in outcome.reports if self._of_file.get(report.path) is baseline]
            if self._arguments.write_baseline:
                baseline = self._written(baseline, reports)
            pairs = [(_known(finding, baseline), report, finding) for report in reports for finding in report.findings]
            matched = baseline.match([known for known, _, _ in pairs])
            gone = self._may_go(baseline, reports) - Counter(entry for entry in matched if entry is not None)
            if gone and self._arguments.prune_baseline:
                Baseline(baseline.path, baseline.counts - gone).write()
                warn(f"removed {_count(gone)} from {_shown(baseline.path)}")
                gone.clear()
            for report in reports:
                report.findings = []
            for (_, report, finding), entry in zip(pairs, matched, strict=True):
                if entry is None:
                    report.findings.append(finding)
            outcome.known = (outcome.known or 0) + len(pairs) - matched.count(None)
            outcome.gone += sum(gone.values())

    def _path(self, config: Config) -> str | None:
        """The absolute path of the baseline for the files of a configuration."""
        if self._arguments.baseline:
            return os.path.abspath(self._arguments.baseline)
        if config.baseline and self._arguments.use_baseline:
            root = str(config.root or os.getcwd())
            path = os.path.normpath(os.path.join(root, config.baseline))
            writes = self._arguments.write_baseline or self._arguments.prune_baseline
            if writes and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
                # The configuration may be a stranger's.
                raise UsageError(f"{_shown(path)} is not in {root}: it is written to if --baseline names it")
            return path
        self._by_default = self._arguments.write_baseline
        return os.path.abspath(DEFAULT) if self._by_default else None

    def _read(self, path: str) -> Baseline:
        try:
            return Baseline.read(path)
        except FileNotFoundError:
            if self._arguments.write_baseline:
                return Baseline(path)
            raise UsageError(f"there is no baseline {_shown(path)}: --write-baseline makes it") from None
        except BadBaseline as error:
            instead = "; remove it to begin anew" if self._arguments.write_baseline else ""
            raise UsageError(f"{_shown(path)} could not be read: {error}{instead}") from None

    def _written(self, baseline: Baseline, reports: Sequence[Report]) -> Baseline:
        """The baseline as it is then: with what is found now, and what could not be found again by this run."""
        found = Counter(_known(finding, baseline) for report in reports for finding in report.findings)
        kept = baseline.counts - self._may_go(baseline, reports)
        new = Baseline(baseline.path, found | kept)
        new.write()
        use = f'; `baseline = "{DEFAULT}"` in [tool.gradls], or --baseline, uses it' if self._by_default else ""
        warn(f"wrote {_count(new.counts)} to {_shown(new.path)}{use}")
        return new

    def _may_go(self, baseline: Baseline, reports: Sequence[Report]) -> Counter[Known]:
        """The entries that this run would have found again: of rules that it asked about, in files that it could read
        or that are not there any more."""
        read = {baseline.file_of(report.path) for report in reports if not report.errors}
        unread = {baseline.file_of(report.path) for report in reports if report.errors}
        return Counter(
            {
                known: count
                for known, count in baseline.counts.items()
                if self._asked_about(known)
                and (
                    known.file in read
                    or (known.file not in unread and not os.path.exists(baseline.place_of(known.file)))
                )
            }
        )

    def _asked_about(self, known: Known) -> bool:
        rule = rules_by_key().get(known.code)
        if rule is None:
            return True
        against = heaviest(self._arguments.ignore or (), rule.code, rule.name)
        if not self._arguments.select:
            return not against
        return heaviest(self._arguments.select, rule.code, rule.name) > against


def _known(finding: Record, baseline: Baseline) -> Known:
    return Known(baseline.file_of(finding["path"]), finding["code"], finding["name"], identity_of(finding))


def _count(findings: Counter[Known]) -> str:
    number = sum(findings.values())
    return f"{number} finding{'' if number == 1 else 's'}"


def _shown(path: str) -> str:
    shown = os.path.relpath(path)
    return path if shown.startswith(os.pardir) else shown
