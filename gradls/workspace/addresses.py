"""Where a rule's page can be read."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path

from gradls.rules.registry import rules_by_key

SITE: str | None = None
"""The address at which the documentation site (docs/site) is published, with a slash at the end: the one place that
says so. None while it is published nowhere; addresses are then those of the files of the rules on this machine."""
RULE_PAGE = "rules/{code}/"
"""Where the site has the page of a rule. Codes stay, so what links there may rely on it; the sections of a page have
their headings as anchors (`#what-pytorch-does`)."""


@cache
def rule_address(key: str) -> str | None:
    """The address of the page of a rule, by its code or name: on the site, or else the file of the rule, whose
    docstring the page is."""
    rule = rules_by_key().get(key)
    if rule is None:
        return None
    if SITE is not None:
        return SITE + RULE_PAGE.format(code=rule.code)
    try:
        return Path(inspect.getfile(type(rule))).as_uri()
    except (TypeError, OSError, ValueError):
        return None
