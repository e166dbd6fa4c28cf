"""`gradls explain` and `gradls rules`: what the rules are, and what is not true about autograd."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from gradls.cli.inputs import did_you_mean
from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.output import print_json, warn
from gradls.cli.search import Entry, Hit, search
from gradls.cli.text import STYLES
from gradls.rules.beliefs import Belief, all_beliefs
from gradls.rules.page import markdown_of, page, record
from gradls.rules.registry import all_rules, rules_by_key
from gradls.rules.rule import Rule
from gradls.workspace.addresses import rule_address

_CODE = re.compile(r"grd\w*|[a-z]{1,4}\d{2,}", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
MOST_HITS = 5
GOOD_SHARE = 0.5
SOME_SHARE = 0.2


def explain(topic: str) -> int:
    """Print the page of the rule that `topic` names, or what is found in words; the exit status."""
    rule = {key.lower(): rule for key, rule in rules_by_key().items()}.get(topic.strip().lower())
    if rule is not None:
        _console().print(Markdown(markdown_of(rule)))
        return FOUND_NOTHING
    if _CODE.fullmatch(topic) or _NAME.fullmatch(topic):
        warn(f"no rule is called {topic!r}{did_you_mean(topic)}. `gradls rules` lists them all.")
        return FAILED
    return _search(topic)


def list_rules(format_: str) -> int:
    """Print all rules; the exit status."""
    rules = all_rules()
    if format_ == "json":
        print_json({"rules": [record(rule) for rule in rules]})
        return FOUND_NOTHING
    table = Table(box=None, pad_edge=False)
    for column in ("Code", "Name", "Severity", "What it finds"):
        table.add_column(column, no_wrap=column != "What it finds")
    for rule in rules:
        severity = Text(rule.severity.value, STYLES[rule.severity.value])
        name = Text(rule.name, f"link {rule_address(rule.code)}")
        table.add_row(Text(rule.code), name, severity, Text(page(type(rule)).title))
    _console().print(table)
    return FOUND_NOTHING


def _search(topic: str) -> int:
    entries: list[Entry[Rule | Belief]] = [
        Entry(rule, f"{rule.name} {page(type(rule)).title}", markdown_of(rule)) for rule in all_rules()
    ]
    entries.extend(Entry(belief, belief.claim, belief.truth) for belief in all_beliefs())
    hits = [hit for hit in search(topic, entries) if hit.share >= SOME_SHARE][:MOST_HITS]
    if not hits:
        warn(f"nothing is known about {topic!r}. `gradls rules` lists all rules.")
        return FAILED
    _console().print(Markdown(_results(hits)))
    return FOUND_NOTHING


def _results(hits: Sequence[Hit[Rule | Belief]]) -> str:
    """The best hit in full where it is a belief and a good answer; the others in a line each."""
    parts = []
    best = hits[0]
    if isinstance(best.item, Belief) and best.share >= GOOD_SHARE:
        parts.append(_belief(best.item))
        hits = hits[1:]
    lines = [_line(hit.item) for hit in hits]
    if lines:
        parts.append("## See also\n\n" if parts else "## What may be meant\n\n")
        parts.append("\n".join(lines))
    return "".join(parts)


def _belief(belief: Belief) -> str:
    return f"# Not true: {belief.claim}\n\n{belief.truth}\n\n```python\n{belief.program}```\n\n"


def _line(item: Rule | Belief) -> str:
    if isinstance(item, Belief):
        return f"- Not true: {item.claim}. {item.truth}"
    return f"- `gradls explain {item.code}` ({item.name}): {page(type(item)).title}"


def _console() -> Console:
    console = Console(emoji=False)
    return console if console.is_terminal else Console(emoji=False, width=100)
