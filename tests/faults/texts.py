"""A text as a client has it, edited as the protocol says: what the server's view is compared with.

Written against the specification and not with the server's code. Where the specification leaves a choice (a position
within a character) it is what the server does: the start of the character.
"""

from __future__ import annotations

import re
from typing import Any

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
"""The codec of each position encoding, and the bytes of a unit."""


def applied(text: str, changes: object, encoding: str) -> str:
    """`text` after the `contentChanges` of a didChange; those that are none are left out."""
    for change in changes if isinstance(changes, list) else []:
        new = change.get("text") if isinstance(change, dict) else None
        if not isinstance(new, str):
            continue
        area = change.get("range")
        if area is None:
            text = new
        elif (ends := _ends(area)) is not None:
            start, end = sorted(_offset(text, *place, encoding) for place in ends)
            text = text[:start] + new + text[end:]
        # Halves of a character that have come together are that character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def place(text: str, offset: int, encoding: str) -> dict[str, int]:
    """The protocol's position of an offset into `text`, which is not between a \\r and a \\n."""
    starts = [match.start() for match in LINE.finditer(text)]
    line = max(number for number, start in enumerate(starts) if start <= offset)
    return {"line": line, "character": sum(_width(each, encoding) for each in text[starts[line] : offset])}


def _ends(area: Any) -> list[tuple[int, int]] | None:
    try:
        ends = [(area[end]["line"], area[end]["character"]) for end in ("start", "end")]
    except (KeyError, TypeError):
        return None
    numbers = [number for end in ends for number in end]
    return ends if all(type(number) is int and number >= 0 for number in numbers) else None


def _offset(text: str, line: int, character: int, encoding: str) -> int:
    matches = list(LINE.finditer(text))
    if line >= len(matches):
        return len(text)
    start, content = matches[line].start(), matches[line][0].rstrip("\r\n")
    for index, each in enumerate(content):
        character -= _width(each, encoding)
        if character < 0:
            return start + index
    return start + len(content)


def _width(character: str, encoding: str) -> int:
    codec, size = CODECS[encoding]
    return len(character.encode(codec, "surrogatepass")) // size
