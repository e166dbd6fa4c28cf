"""All rules on the facts of one file, each chapter of them once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from gradls.flow.chapters import Chapter
from gradls.flow.facts import Asked, Facts, asked_by
from gradls.flow.mistakes import tell
from gradls.rules.finding import Finding, Severity
from gradls.rules.plugins import require_sound
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule
from gradls.syntax.separators import is_rerun, is_shown

MOST_CHOICES = 5_000

log = logging.getLogger(__name__)


def findings(
    facts: Facts, rules: Iterable[Rule] | None = None, pause: Callable[[], None] | None = None
) -> list[Finding]:
    """The findings in the order of the text, each mistake once, as grave as it may be. A rule that fails costs its own
    findings only.

    What the rules find in a chapter is remembered with it. `pause` is called after each that is new, and may
    raise.
    """
    plan = _plan(all_rules() if rules is None else tuple(rules))
    found: dict[tuple[str, str, object], Finding] = {}
    for chapter in facts.chapters:
        is_new = plan not in chapter.memo
        for finding in _in_chapter(facts, chapter, plan):
            _add(found, finding)
        if is_new and pause is not None:
            pause()
    for rule in plan.rules:
        if rule.whole_file and not (rule.of_absence and facts.unfinished):
            for finding in _checked(rule, facts):
                _add(found, finding)
    if not found:
        return []
    return sorted(_in_cells(found.values(), plan.rules), key=lambda finding: (finding.span, finding.code))


def _in_cells(findings: Iterable[Finding], rules: Iterable[Rule]) -> Iterator[Finding]:
    """Those that are right though values at the end of cells are shown, and cells of notebooks are run again."""
    of_value = {rule.code for rule in rules if rule.of_value}
    runs_once = {rule.code for rule in rules if rule.runs_once}
    for finding in findings:
        if finding.code in of_value and is_shown(*finding.place):
            continue
        if finding.code in runs_once and is_rerun(*finding.place):
            continue
        yield finding


def _add(found: dict[tuple[str, str, object], Finding], finding: Finding) -> None:
    """Of several about the same place, the first of the gravest is told."""
    key = finding.code, finding.path, finding.span
    known = found.get(key)
    if known is None or _GRAVITY[finding.severity] < _GRAVITY[known.severity]:
        found[key] = finding


_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}


def _in_chapter(facts: Facts, chapter: Chapter, plan: _Plan) -> list[Finding]:
    found: list[Finding] | None = chapter.memo.get(plan)
    if found is None:
        view = facts.of_chapter(chapter)
        found = chapter.memo[plan] = [finding for rule in plan.concerned(chapter) for finding in _checked(rule, view)]
    return found


def _checked(rule: Rule, facts: Facts) -> list[Finding]:
    try:
        found = rule.check(facts)
        return require_sound(rule, found) if rule.plugin else list(found)
    except (Exception, SystemExit) as error:
        of = f" of {rule.plugin}" if rule.plugin else ""
        whom = " to its authors" if rule.plugin else ""
        tell(log, f"rule {rule.name}{of}", facts.source.path, error, whom)
        return []


class _Plan:
    """Some rules, and which of them look at a chapter: sets of them are numbers, a bit for each."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._always = 0
        self._of_kinds: dict[str, int] = {}
        self._of_names: dict[str, int] = {}
        self._chosen: dict[int, list[Rule]] = {}
        for number, rule in enumerate(rules):
            if not rule.whole_file:
                self._note(1 << number, asked_by(rule.check))

    def _note(self, rule: int, asked: Asked | None) -> None:
        if asked is None:
            self._always |= rule
            return
        for kind in asked.kinds:
            self._of_kinds[kind] = self._of_kinds.get(kind, 0) | rule
        for name in asked.names:
            self._of_names[name] = self._of_names.get(name, 0) | rule

    def concerned(self, chapter: Chapter) -> list[Rule]:
        """The rules that look at one chapter at a time, and at something that this one has."""
        wanted = self._always
        for kind in chapter.kinds:
            wanted |= self._of_kinds.get(kind, 0)
        for name in chapter.names:
            wanted |= self._of_names.get(name, 0)
        found = self._chosen.get(wanted)
        if found is None:
            if len(self._chosen) > MOST_CHOICES:
                self._chosen.clear()
            found = [rule for number, rule in enumerate(self.rules) if wanted >> number & 1]
            self._chosen[wanted] = found
        return found


_plan = lru_cache(16)(_Plan)
