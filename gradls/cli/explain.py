"""`gradls explain` and `gradls rules`: what the rules are, and what is not true about autograd."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from gradls.cli.inputs import did_you_mean
from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.output import print_json, warn
from gradls.cli.search import Hit, Page, search
from gradls.cli.text import STYLES
from gradls.rules.beliefs import Belief, all_beliefs
from gradls.rules.registry import all_rules, rules_by_key
from gradls.rules.rule import Rule
from gradls.workspace.addresses import rule_address

_CODE = re.compile(r"[a-z]+\d+", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
MOST_HITS = 5
GOOD_SHARE = 0.5
SOME_SHARE = 0.2


def explain(topic: str) -> int:
    """Print the page of the rule that `topic` names, or what is found in words; the exit status."""
    rule = {key.lower(): rule for key, rule in rules_by_key().items()}.get(topic.strip().lower())
    if rule is not None:
        _console().print(Markdown(page_of(rule)))
        return FOUND_NOTHING
    if _CODE.fullmatch(topic) or _NAME.fullmatch(topic):
        warn(f"no rule is called {topic!r}{did_you_mean(topic)}. `gradls rules` lists them all.")
        return FAILED
    return _search(topic)


def list_rules(format_: str) -> int:
    """Print all rules; the exit status."""
    rules = all_rules()
    if format_ == "json":
        print_json({"rules": [_record(rule) for rule in rules]})
        return FOUND_NOTHING
    table = Table(box=None, pad_edge=False)
    for column in ("Code", "Name", "Severity", "What it finds"):
        table.add_column(column, no_wrap=column != "What it finds")
    for rule in rules:
        name = f"[link={rule_address(rule.code)}]{rule.name}[/link]"
        style = STYLES[rule.severity.value]
        table.add_row(rule.code, name, f"[{style}]{rule.severity.value}[/]", _escaped(summary_of(rule)))
    _console().print(table)
    return FOUND_NOTHING


def page_of(rule: Rule) -> str:
    """The page of a rule in Markdown."""
    first, _, rest = (inspect.getdoc(type(rule)) or "").partition("\n")
    return f"# {rule.code} {rule.name}\n\n**{first}** Severity: {rule.severity.value}.\n{rest}"


def summary_of(rule: Rule) -> str:
    """The first line of a rule's page."""
    return (inspect.getdoc(type(rule)) or "").partition("\n")[0]


def _record(rule: Rule) -> dict[str, str]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": summary_of(rule),
        "page": page_of(rule),
    }


def _search(topic: str) -> int:
    pages: list[Page[Rule | Belief]] = [
        Page(rule, f"{rule.name} {summary_of(rule)}", inspect.getdoc(type(rule)) or "") for rule in all_rules()
    ]
    pages.extend(Page(belief, belief.claim, belief.truth) for belief in all_beliefs())
    hits = [hit for hit in search(topic, pages) if hit.share >= SOME_SHARE][:MOST_HITS]
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
    return f"- `gradls explain {item.code}` ({item.name}): {summary_of(item)}"


def _console() -> Console:
    console = Console(emoji=False)
    return console if console.is_terminal else Console(emoji=False, width=100)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
