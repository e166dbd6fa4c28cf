"""All rules on the facts of one file."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule

log = logging.getLogger(__name__)


def findings(facts: Facts, rules: Iterable[Rule] | None = None) -> list[Finding]:
    """The findings in the order of the text, each mistake once. A rule that fails costs its own findings only."""
    found: dict[tuple[str, str, object], Finding] = {}
    for rule in all_rules() if rules is None else rules:
        if rule.of_absence and facts.unfinished:
            continue
        try:
            for finding in rule.check(facts):
                found.setdefault((finding.code, finding.path, finding.span), finding)
        except Exception:
            log.exception("rule %s failed on %s; please report this", rule.name, facts.source.path)
    return sorted(found.values(), key=lambda finding: (finding.span, finding.code))
