"""Every rule against real PyTorch: its examples fail as they say, what it advises works, and so do its fixes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradls.rules.page import Page, page
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule
from gradls.testing import rules as rule_checks

RULES = all_rules()


def _programs(which: Callable[[Page], list[str]]) -> pytest.MarkDecorator:
    """One case a program, named by the rule's code and the program's number."""
    cases = [
        pytest.param(rule, program, id=f"{rule.code}-{number}")
        for rule in RULES
        for number, program in enumerate(which(page(type(rule))), 1)
    ]
    return pytest.mark.parametrize(("rule", "program"), cases)


def test_codes_and_names_are_each_used_once() -> None:
    for keys in ([rule.code for rule in RULES], [rule.name for rule in RULES]):
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_page(rule: Rule) -> None:
    rule_checks.check_page(rule)


@_programs(lambda found: found.examples)
def test_example(rule: Rule, program: str) -> None:
    rule_checks.check_example(rule, program)


@_programs(lambda found: found.uses)
def test_use_instead(rule: Rule, program: str) -> None:
    rule_checks.check_right(rule, program)


@_programs(lambda found: found.silent)
def test_silent(rule: Rule, program: str) -> None:
    rule_checks.check_right(rule, program)


@_programs(lambda found: found.examples)
def test_fixes(rule: Rule, program: str) -> None:
    rule_checks.check_fixes(rule, program)
