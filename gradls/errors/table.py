"""The messages of PyTorch that have to do with gradients: how they are worded, what they mean, what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ANYTHING = "…"
SHORTEST = 20
"""So long a part of a message has to be to tell it."""
_TYPE = re.compile(r"^\w+(?:error|warning|exception): ")
_QUOTES = str.maketrans({"`": None, "\\": None, "‘": "'", "’": "'", "“": '"', "”": '"'})


@dataclass(frozen=True, slots=True)
class Wording:
    """How a message begins, or began `until` a release; `…` stands for any text."""

    says: str
    until: str = ""
    note: str = ""

    def found_in(self, text: str) -> bool:
        """Whether it is in a text that `plain` has made comparable."""
        return _pattern(self.says).search(text) is not None


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that PyTorch says, in all its wordings.

    `line` is a regular expression for the line of code, for messages that others than PyTorch have, too. `rules` are
    the codes of those that find the reason, the most frequent one first. The texts are Markdown.
    """

    name: str
    wordings: tuple[Wording, ...]
    means: str
    cause: str
    fix: str
    rules: tuple[str, ...]
    line: str = ""

    @property
    def old(self) -> tuple[Wording, ...]:
        """Those that newer releases do not have any more."""
        return tuple(wording for wording in self.wordings if wording.until)

    @property
    def title(self) -> str:
        """Its wording now."""
        return self.wordings[0].says


@cache
def all_messages() -> tuple[Message, ...]:
    """The table that comes with the package, more specific messages first."""
    text = files("gradls.errors").joinpath("messages.toml").read_text(encoding="utf-8")
    return tuple(
        Message(
            entry["name"],
            (*map(Wording, entry["says"]), *(Wording(**old) for old in entry.get("said", ()))),
            entry["means"],
            entry["cause"],
            entry["fix"],
            tuple(entry["rules"]),
            entry.get("line", ""),
        )
        for entry in tomllib.loads(text)["message"]
    )


def messages_in(text: str, code_lines: Iterable[str] = ()) -> list[Message]:
    """The messages that a text holds, best first. `code_lines` are the lines of code which the error passed, if these
    are known: a message that is not PyTorch's alone counts only if one of them fits it."""
    comparable = plain(text)
    lines = list(code_lines)
    fitting = [
        message
        for message in all_messages()
        if not message.line or not lines or any(re.search(message.line, line) for line in lines)
    ]
    found = [message for message in fitting if any(wording.found_in(comparable) for wording in message.wordings)]
    part = _TYPE.sub("", comparable)
    if found or len(part) < SHORTEST:
        return found
    return [message for message in fitting if any(part in plain(wording.says) for wording in message.wordings)]


def plain(text: str) -> str:
    """`text` on one line, in lower case and without the quotes that come and go between releases."""
    return " ".join(text.translate(_QUOTES).split()).lower()


@cache
def _pattern(says: str) -> re.Pattern[str]:
    return re.compile(".{0,300}?".join(re.escape(part) for part in plain(says).split(ANYTHING)))
