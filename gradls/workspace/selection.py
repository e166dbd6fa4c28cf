"""Which findings the configuration lets through, and with what severity."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gradls.rules.finding import Finding, Severity
from gradls.rules.registry import all_rules, rules_by_key
from gradls.workspace.config import Config

if TYPE_CHECKING:
    import pathspec

EVERYTHING = "ALL"


def weight(selector: str, code: str, name: str) -> int:
    """How closely `selector` (a code, the beginning of one, a name or ALL) names a rule; 0 if it does not."""
    folded = selector.strip().upper()
    if folded == EVERYTHING:
        return 1
    if folded in (name.upper(), code.upper()):
        return 100
    return len(folded) + 1 if folded and code.upper().startswith(folded) else 0


def heaviest(selectors: Iterable[str], code: str, name: str) -> int:
    """The greatest weight among `selectors`; 0 if none names the rule."""
    return max((weight(selector, code, name) for selector in selectors), default=0)


def excludes(config: Config, path: str) -> bool:
    """Whether the file `path` is to be left alone."""
    if not config.exclude:
        return False
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(config.exclude).match_file(relative_to(path, config.root))


def unknown_selectors(selectors: Iterable[str]) -> list[str]:
    """Those that name no rule."""
    rules = all_rules()
    return [s for s in selectors if s.upper() != EVERYTHING and not any(weight(s, r.code, r.name) for r in rules)]


class Selection:
    """A configuration, applied.

    The closest of `select` and `ignore` decides, `ignore` on a tie. Without `select` every rule is on but those of
    taste (severity hint).
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def apply(self, path: str, findings: Iterable[Finding]) -> list[Finding]:
        """The findings of the file `path` that are wanted, each with the severity that is configured for it."""
        ignore = [*self._config.ignore, *self._ignored_in(path)]
        return [self._rated(finding) for finding in findings if self._wanted(finding, ignore)]

    def _wanted(self, finding: Finding, ignore: list[str]) -> bool:
        against = heaviest(ignore, finding.code, finding.name)
        if not self._config.select:
            return not against and not _is_taste(finding)
        return heaviest(self._config.select, finding.code, finding.name) > against

    def _rated(self, finding: Finding) -> Finding:
        overrides = self._config.severity
        if not overrides:
            return finding
        closest = max(overrides, key=lambda selector: weight(selector, finding.code, finding.name))
        if not weight(closest, finding.code, finding.name) or overrides[closest] is finding.severity:
            return finding
        return dataclasses.replace(finding, severity=overrides[closest])

    def _ignored_in(self, path: str) -> list[str]:
        relative = relative_to(path, self._config.root)
        return [rule for spec, rules in self._per_file if spec.match_file(relative) for rule in rules]

    @cached_property
    def _per_file(self) -> list[tuple[pathspec.GitIgnoreSpec, tuple[str, ...]]]:
        if not self._config.per_file_ignores:
            return []
        import pathspec

        return [
            (pathspec.GitIgnoreSpec.from_lines([pattern]), rules)
            for pattern, rules in self._config.per_file_ignores.items()
        ]


def _is_taste(finding: Finding) -> bool:
    rule = rules_by_key().get(finding.code)
    return rule is not None and rule.severity is Severity.HINT


def relative_to(path: str, root: Path | None) -> str:
    """`path` as patterns see it: from `root` where it lies below it, with forward slashes."""
    if root is not None:
        try:
            return Path(path).absolute().relative_to(root).as_posix()
        except ValueError:
            pass
    return Path(path).as_posix().lstrip("/")
