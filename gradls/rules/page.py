"""A rule's documentation page, read from the docstring of its class."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass

from gradls.autograd.versions import NEWEST, Version
from gradls.rules.rule import Rule

SECTIONS = (
    "What it finds",
    "Why it matters",
    "What PyTorch does",
    "Example",
    "Use instead",
    "When it is silent",
    "Fix safety",
    "References",
)

_FENCE = re.compile(r"^(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})[ ]*(?P<language>\w*)[^`\n]*$")

_TARGET = re.compile(r'# with target-torch = "(\d+)\.(\d+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a rule. `sections` maps each heading, in the order of the docstring, to its Markdown text."""

    title: str
    sections: dict[str, str]

    @property
    def examples(self) -> list[str]:
        """The programs that show the mistake."""
        return programs(self.sections.get("Example", ""))

    @property
    def uses(self) -> list[str]:
        """The programs that show what to write instead."""
        return programs(self.sections.get("Use instead", ""))

    @property
    def silent(self) -> list[str]:
        """Programs that look like the mistake and are right."""
        return programs(self.sections.get("When it is silent", ""))


def page(rule: type[Rule]) -> Page:
    """The page that the docstring of `rule` holds; without a docstring (`python -OO`) an empty one."""
    # Only its own: a rule without a page must not show that of its base.
    lines = inspect.cleandoc(rule.__dict__.get("__doc__") or "").splitlines()
    title: list[str] = []
    sections: dict[str, list[str]] = {}
    current = title
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        if found and not fence:
            fence = found["fence"]
        elif found and found["fence"].startswith(fence) and not found["language"]:
            fence = ""
        elif not fence and line.startswith("## "):
            current = sections.setdefault(line[3:].strip(), [])
            continue
        current.append(line)
    return Page(" ".join(title).strip(), {heading: "\n".join(text).strip("\n") for heading, text in sections.items()})


def target_of(program: str) -> Version:
    """The version of PyTorch that a program on a page is about: its first line may name an older one."""
    found = _TARGET.match(program)
    return (int(found[1]), int(found[2])) if found else NEWEST


def markdown_of(rule: Rule) -> str:
    """The page of a rule in Markdown."""
    of = page(type(rule))
    head = f"# {rule.code} {rule.name}\n\n**{of.title}** Severity: {rule.severity.value}."
    return "\n\n".join([head, *(f"## {heading}\n\n{text}" for heading, text in of.sections.items())]) + "\n"


def record(rule: Rule) -> dict[str, str]:
    """What there is to say of a rule, for JSON."""
    return {
        **({"plugin": rule.plugin} if rule.plugin else {}),
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": page(type(rule)).title,
        "page": markdown_of(rule),
    }


def programs(text: str) -> list[str]:
    """The Python programs in fenced blocks of a Markdown text, each ending with a newline."""
    found: list[str] = []
    block: list[str] | None = None
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and block is None:
            fence = mark["fence"]
            block = [mark["language"]]
        elif mark and block is not None and mark["fence"].startswith(fence) and not mark["language"]:
            if block[0] in ("python", "py"):
                found.append(textwrap.dedent("\n".join(block[1:])).strip("\n") + "\n")
            block = None
        elif block is not None:
            block.append(line)
    return found
