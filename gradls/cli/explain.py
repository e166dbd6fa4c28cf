"""`gradls explain` and `gradls rules`: what the rules are, what messages mean, and what is not true about autograd."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from gradls.cli.inputs import did_you_mean
from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.output import print_json, warn, warn_of_plugins
from gradls.cli.search import Entry, Hit, Index, shortened
from gradls.cli.text import STYLES
from gradls.errors.table import ANYTHING, Message, all_messages, messages_in
from gradls.rules.beliefs import Belief, all_beliefs
from gradls.rules.page import markdown_of, page, record
from gradls.rules.registry import all_rules, rules_by_key
from gradls.rules.rule import Rule
from gradls.workspace.addresses import rule_address

_CODE = re.compile(r"grd\w*|[a-z]{1,4}\d{2,}", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
MOST_HITS = 6
GOOD_SHARE = 0.4
SOME_SHARE = 0.3

Topic = Rule | Belief | Message


def explain(topic: str) -> int:
    """Print the page of the rule or the message that `topic` names, or what is found in words; the exit status."""
    rule = {key.lower(): rule for key, rule in rules_by_key().items()}.get(topic.strip().lower())
    if rule is not None:
        _console().print(Markdown(markdown_of(rule)))
        return FOUND_NOTHING
    messages = messages_in(topic)
    if messages:
        _console().print(Markdown(_page_of(messages[0])))
        return FOUND_NOTHING
    if _CODE.fullmatch(topic) or _NAME.fullmatch(topic):
        warn(f"no rule is called {topic!r}{did_you_mean(topic)}. `gradls rules` lists them all.")
        return FAILED
    return _search(topic)


def list_rules(format_: str) -> int:
    """Print all rules; the exit status."""
    rules = all_rules()
    warn_of_plugins()
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


def found_in_words(topic: str) -> list[Hit[Topic]]:
    """The rules, beliefs and messages that answer `topic`, best first."""
    return [hit for hit in _index().search(topic, MOST_HITS) if hit.share >= SOME_SHARE]


@cache
def _index() -> Index[Topic]:
    entries: list[Entry[Topic]] = [
        Entry(rule, f"{rule.name} {page(type(rule)).title}", markdown_of(rule)) for rule in all_rules()
    ]
    entries += (Entry(belief, belief.claim, belief.truth) for belief in all_beliefs())
    entries += (
        Entry(message, " ".join(wording.says for wording in message.wordings), _body_of(message))
        for message in all_messages()
    )
    return Index(entries)


def _search(topic: str) -> int:
    hits = found_in_words(topic)
    if not hits:
        warn(f"nothing is known about {topic!r}. `gradls rules` lists all rules.")
        return FAILED
    _console().print(Markdown(_results(hits)))
    return FOUND_NOTHING


def _results(hits: Sequence[Hit[Topic]]) -> str:
    """The best hit in full where it is a belief and a good answer; the others in a line each."""
    parts = []
    best = hits[0]
    if isinstance(best.item, Belief) and best.share >= GOOD_SHARE:
        parts.append(_belief(best.item))
        hits = hits[1:]
    lines = [_line(hit) for hit in hits]
    if lines:
        parts.append("## See also\n\n" if parts else "## What may be meant\n\n")
        parts.append("\n".join(lines))
    return "".join(parts)


def _belief(belief: Belief) -> str:
    return f"# Not true: {belief.claim}\n\n{belief.truth}\n\n```python\n{belief.program}```\n\n"


def _line(hit: Hit[Topic]) -> str:
    item = hit.item
    if isinstance(item, Belief):
        return f"- Not true: {item.claim}. {shortened(item.truth)}"
    if isinstance(item, Message):
        return f"- The message `{shortened(item.title)}`: {shortened(item.means)}"
    title = page(type(item)).title
    excerpt = "" if hit.excerpt in title or not hit.excerpt else f" {hit.excerpt}"
    return f"- `gradls explain {item.code}` ({item.name}): {title}{excerpt}"


def _page_of(message: Message) -> str:
    """What a message means, in Markdown."""
    rules = "\n".join(
        f"- `gradls explain {code}` ({rules_by_key()[code].name}): {page(type(rules_by_key()[code])).title}"
        for code in message.rules
    )
    also = [f"- `{wording.says}`" for wording in message.wordings[1:] if not wording.until]
    also += [f"- until {old.until}{f' ({old.note})' if old.note else ''}: `{old.says}`" for old in message.old]
    parts = [f"# {message.title.replace(ANYTHING, '...')}", _body_of(message), f"## Rules that find it\n\n{rules}"]
    if also:
        parts.append("## Other wordings\n\n" + "\n".join(also))
    parts.append("`gradls why` looks for what raised it in your code, if you give it the traceback.")
    return "\n\n".join(parts) + "\n"


def _body_of(message: Message) -> str:
    return f"{message.means}\n\n**Usual cause.** {message.cause}\n\n**What to do.** {message.fix}"


def _console() -> Console:
    console = Console(emoji=False)
    return console if console.is_terminal else Console(emoji=False, width=100)
