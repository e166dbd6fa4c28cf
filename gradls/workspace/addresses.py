"""Where a rule's page can be read."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path

from gradls.rules.registry import rules_by_key


@cache
def rule_address(key: str) -> str | None:
    """The address of the page of a rule, by its code or name: the file of the rule, whose docstring the page is."""
    rule = rules_by_key().get(key)
    if rule is None:
        return None
    try:
        return Path(inspect.getfile(type(rule))).as_uri()
    except (TypeError, OSError, ValueError):
        return None
