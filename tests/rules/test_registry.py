"""The rules as a whole."""

from __future__ import annotations

from collections import Counter

from gradls.rules.registry import all_rules


def test_every_rule_has_a_code_and_a_name_of_its_own() -> None:
    rules = all_rules()
    for words in ([rule.code for rule in rules], [rule.name for rule in rules]):
        assert [word for word, times in Counter(words).items() if times > 1] == []


def test_a_rule_is_in_the_file_that_its_code_names() -> None:
    for rule in all_rules():
        module = type(rule).__module__.rpartition(".")[2]
        assert module == f"{rule.code.lower()}_{module.partition('_')[2]}", rule.code
