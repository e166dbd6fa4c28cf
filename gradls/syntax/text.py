"""Lines of a text, as Python's parser and the Language Server Protocol count them."""

from __future__ import annotations

import re

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


def split_lines(text: str) -> list[str]:
    r"""The lines of `text`, line ends kept; only `\n`, `\r\n` and `\r` end a line (`str.splitlines` knows more)."""
    return _LINE.findall(text)
