"""Messages as Markdown in which code, names and strings are nothing but text, whatever they hold."""

from __future__ import annotations

import re

from gradls.syntax.text import visible

_QUOTES = re.compile("`+")
_ACTIVE = re.compile(r"[\\\[\]<|]")


def harmless(text: str) -> str:
    """The Markdown `text`, in which code stands between backquotes, without links, pictures and HTML: none of ours has
    any, so they come from the code. Bold words and lists stay."""
    text = visible(text)
    parts, start = [], 0
    while (opening := _QUOTES.search(text, start)) is not None:
        parts.append(_plain(text[start : opening.start()]))
        closing = next((each for each in _QUOTES.finditer(text, opening.end()) if each[0] == opening[0]), None)
        if closing is None:
            parts.append("\\`" * len(opening[0]))
            start = opening.end()
        else:
            # A line end would let a new paragraph or a table begin within the quotes.
            parts.append(opening[0] + " ".join(text[opening.end() : closing.start()].split("\n")) + closing[0])
            start = closing.end()
    return "".join([*parts, _plain(text[start:])])


def _plain(text: str) -> str:
    return _ACTIVE.sub(r"\\\g<0>", text)
