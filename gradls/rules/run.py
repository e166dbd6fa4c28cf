"""All rules on the facts of one file, each chapter of them once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from gradls.flow.chapters import Chapter
from gradls.flow.facts import Event, Facts
from gradls.flow.mistakes import tell
from gradls.rules.finding import Finding
from gradls.rules.plugins import require_sound
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule
from gradls.syntax.separators import is_rerun, is_shown
from gradls.syntax.source import Source

log = logging.getLogger(__name__)


def findings(
    facts: Facts, rules: Iterable[Rule] | None = None, pause: Callable[[], None] | None = None
) -> list[Finding]:
    """The findings in the order of the text, each mistake once. A rule that fails costs its own findings only.

    What the rules find in a chapter is remembered with it. `pause` is called after each that is new, and may
    raise.
    """
    chosen = all_rules() if rules is None else tuple(rules)
    found: dict[tuple[str, str, object], Finding] = {}
    for chapter in facts.chapters:
        is_new = chosen not in chapter.memo
        for finding in _in_chapter(facts, chapter, chosen):
            found.setdefault(_key(finding), finding)
        if is_new and pause is not None:
            pause()
    for rule in chosen:
        if rule.whole_file and not (rule.of_absence and facts.unfinished):
            for finding in _checked(rule, facts):
                found.setdefault(_key(finding), finding)
    return sorted(_in_cells(found.values(), chosen), key=lambda finding: (finding.span, finding.code))


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


def _key(finding: Finding) -> tuple[str, str, object]:
    return finding.code, finding.path, finding.span


def _in_chapter(facts: Facts, chapter: Chapter, rules: tuple[Rule, ...]) -> list[Finding]:
    found: list[Finding] | None = chapter.memo.get(rules)
    if found is None:
        view = facts.of_chapter(chapter)
        found = chapter.memo[rules] = [
            finding for rule in _concerned(chapter, rules) for finding in _checked(rule, view)
        ]
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


def _concerned(chapter: Chapter, rules: tuple[Rule, ...]) -> Iterator[Rule]:
    """The rules that look at one chapter at a time, and at a kind of events that this one has."""
    for rule in rules:
        if not rule.whole_file:
            asked = _asks_for(rule)
            if asked is None or not chapter.kinds.isdisjoint(asked):
                yield rule


@cache
def _asks_for(rule: Rule) -> frozenset[str] | None:
    """The kinds of events that a rule looks at first: a chapter with none of these is to it as one where nothing
    happens. None if it looks at anything else, too."""
    view = _Nothing()
    try:
        for _ in rule.check(view):
            return None
    except (Exception, SystemExit):
        return None
    return frozenset(view.asked) if view.asked and not view.asked_for_more else None


class _Nothing(Facts):
    """Facts of a chapter in which nothing happens: they write down what they are asked for."""

    ANYWAY = frozenset(("of", "asked", "asked_for_more", "memo", "torch_name", "unfinished"))
    """What says nothing by itself."""

    def __init__(self) -> None:
        super().__init__(Source.read(""))
        self.asked: set[str] = set()
        self.asked_for_more = False

    def of(self, *kinds: str) -> Iterator[Event]:
        self.asked.update(kinds)
        return iter(())

    def __getattribute__(self, name: str) -> object:
        if not name.startswith("_") and name not in _Nothing.ANYWAY:
            object.__setattr__(self, "asked_for_more", True)
        return object.__getattribute__(self, name)
