"""All rules: every `Rule` in a module of this package whose name starts with `grd`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from gradls.rules.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """One object of each rule, in the order of their codes."""
    package = importlib.import_module("gradls.rules")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("grd"):
            importlib.import_module(f"gradls.rules.{module.name}")
    return tuple(sorted((rule() for rule in Rule.__subclasses__()), key=lambda rule: rule.code))


@cache
def rules_by_key() -> dict[str, Rule]:
    """Rules by code and by name."""
    return {key: rule for rule in all_rules() for key in (rule.code, rule.name)}
