"""A page for each rule, and the list of them by family."""

from __future__ import annotations

import re
from itertools import groupby

from gradls.errors.table import ANYTHING, Message, all_messages
from gradls.rules.page import Page, page, programs
from gradls.rules.registry import all_rules, rules_by_key
from gradls.rules.rule import Rule
from gradls.workspace.addresses import RULE_PAGE
from gradls_site.examples import found_in, with_findings
from gradls_site.markdown import escaped, for_mkdocs, outside_code

FAMILIES = {
    "1": "The graph is cut",
    "2": "In-place writes and saved tensors",
    "3": "Backward and access to gradients",
    "4": "Losses",
    "5": "Modules and parameters",
    "6": "The training loop",
    "7": "Memory and grad mode",
    "8": "Custom functions, hooks, checkpoint",
    "9": "Old API",
}
_BLOCK = re.compile(r"^```(?:python|py)\n.*?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"\bGRD\d{3}\b")
_ADDRESS = re.compile(r"(?<![<(\[])https?://[^\s<>)]+")


def families() -> list[tuple[str, list[Rule]]]:
    """The rules by family, in the order of their codes."""
    return [(FAMILIES[digit], list(rules)) for digit, rules in groupby(all_rules(), key=lambda rule: rule.code[3])]


def rule_uri(rule: Rule) -> str:
    """Where the page of a rule is, among the sources of the site."""
    return RULE_PAGE.format(code=rule.code).rstrip("/") + ".md"


def rule_page(rule: Rule) -> str:
    """The page of a rule in Markdown, with what gradls says about its examples."""
    of = page(type(rule))
    parts = [
        f"---\ntitle: {rule.name} ({rule.code})\ndescription: {_quoted(of.title)}\n---",
        f"# {rule.name} <small>{rule.code}</small>",
        f"**{_words(of.title)}**",
        _facts(rule, of),
    ]
    for heading, text in of.sections.items():
        parts.append(f"## {heading}")
        parts.append(_examples(text, rule) if heading == "Example" else _words(text))
        if heading == "What PyTorch does" and (messages := messages_of(rule)):
            parts.append(_said(messages))
    return "\n\n".join(parts) + "\n"


def index_page() -> str:
    """The list of all rules in Markdown."""
    count = len(all_rules())
    parts = [
        "# Rules",
        f"gradls has {count} rules. Each has a code, which never changes its meaning, and a name; either can be used "
        "in the [configuration](../configuration.md) and in comments. What the severities mean is said in [how sure "
        "gradls is](../false-alarms.md); rules of the severity *hint* are off until they are selected.",
    ]
    for family, rules in families():
        parts.append(f"## {family} {{ #grd{rules[0].code[3]} }}")
        rows = ["| code | name | severity | what it finds |", "|---|---|---|---|"]
        for rule in rules:
            title = outside_code(page(type(rule)).title, lambda words: words.replace("|", "\\|"))
            severity = f'<span class="severity {rule.severity.value}">{rule.severity.value}</span>'
            rows.append(f"| [{rule.code}]({rule.code}.md) | [{rule.name}]({rule.code}.md) | {severity} | {title} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def errors_page() -> str:
    """What PyTorch says when something is wrong with gradients, in Markdown."""
    parts = [
        "# What PyTorch says",
        "Messages that have to do with gradients: what they mean, the usual cause, what to do, and the rules that find "
        "the mistake before it is run. [`gradls why`](why.md) takes a traceback and looks for the cause in your code.",
    ]
    for message in all_messages():
        parts += [
            f"## {escaped(_title(message))} {{ #{message.name} }}",
            message.means,
            f"**Usual cause.** {message.cause}",
            f"**What to do.** {message.fix}",
            "**Found by** " + ", ".join(_link(rules_by_key()[code]) for code in message.rules) + ".",
        ]
        if old := message.old:
            parts.append(
                "**Older wordings**\n\n"
                + "\n".join(f"- until {each.until}: `{each.says}`{_note(each.note)}" for each in old)
            )
    return "\n\n".join(parts) + "\n"


def messages_of(rule: Rule) -> list[Message]:
    """The messages of PyTorch that the mistakes of a rule bring about."""
    return [message for message in all_messages() if rule.code in message.rules]


def _facts(rule: Rule, of: Page) -> str:
    fixes = {fix.safety.value for each in of.examples for found in found_in(each, {rule.code}) for fix in found.fixes}
    fixable = "safe" if "safe" in fixes else "suggested" if fixes else "none"
    chips = [
        f'<span class="severity {rule.severity.value}">{rule.severity.value}</span>',
        f"fix: {fixable}",
        f"silence it here: `# gradls: ignore[{rule.name}]`",
    ]
    return " · ".join(chips) + "\n{ .facts }"


def _examples(text: str, rule: Rule) -> str:
    parts, end = [], 0
    for block in _BLOCK.finditer(text):
        parts.append(_words(text[end : block.start()]))
        parts.append(with_findings(programs(block[0])[0], {rule.code}, root="../../"))
        end = block.end()
    parts.append(_words(text[end:]))
    return "\n\n".join(part for part in parts if part.strip())


def _said(messages: list[Message]) -> str:
    lines = [f"- [{escaped(_title(message))}](../errors.md#{message.name})" for message in messages]
    return "Messages that it leads to, and what they mean:\n\n" + "\n".join(lines)


def _words(text: str) -> str:
    """Text of a page, with links to other rules."""

    def linked(words: str) -> str:
        words = _ADDRESS.sub(lambda found: f"<{found[0]}>", words)
        return _CODE.sub(
            lambda found: f"[{found[0]}]({found[0]}.md)" if found[0] in rules_by_key() else found[0], words
        )

    return for_mkdocs(outside_code(text, linked))


def _title(message: Message) -> str:
    return message.title.replace(ANYTHING, "...")


def _link(rule: Rule) -> str:
    return f"[{rule.code} {rule.name}]({rule_uri(rule)})"


def _note(note: str) -> str:
    return f" ({note})" if note else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("`", "").replace("'", "''") + "'"
