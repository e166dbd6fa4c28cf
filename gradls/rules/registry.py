"""All rules: every class with a code in a module of this package whose name starts with `grd`, and those of plugins."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from functools import cache

from gradls.rules.plugins import Plugins, load
from gradls.rules.rule import Rule

log = logging.getLogger(__name__)


@cache
def all_rules() -> tuple[Rule, ...]:
    """One object of each rule, in the order of their codes."""
    return tuple(sorted([*own_rules(), *plugins().rules], key=lambda rule: rule.code))


@cache
def plugins() -> Plugins:
    """The rules of others, and what is wrong with them."""
    return load(own_rules())


@cache
def own_rules() -> tuple[Rule, ...]:
    """The rules that come with gradls, in the order of their codes."""
    package = importlib.import_module("gradls.rules")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("grd"):
            try:
                importlib.import_module(f"gradls.rules.{module.name}")
            except Exception:
                log.exception("the rules of %s cannot be loaded; please report this", module.name)
    found = (cls() for cls in _subclasses(Rule) if cls.__module__.startswith("gradls.rules.grd"))
    return tuple(sorted(found, key=lambda rule: rule.code))


def _subclasses(cls: type[Rule]) -> Iterator[type[Rule]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


@cache
def rules_by_key() -> dict[str, Rule]:
    """Rules by code and by name."""
    return {key: rule for rule in all_rules() for key in (rule.code, rule.name)}
