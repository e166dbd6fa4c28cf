"""Markdown as MkDocs reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_ITEM = re.compile(r"^([-*+]|\d+\.)\s+")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_SPECIAL = re.compile(r"[\\*_\[\]<>#|]")


def for_mkdocs(text: str) -> str:
    """Markdown as GitHub reads it, so that Python-Markdown reads the same: a list begins after an empty line, and what
    belongs to an item is indented by four spaces."""
    result: list[str] = []
    width = 0
    for line, is_code in _lines(text):
        item = None if is_code else _ITEM.match(line)
        if item:
            if result and result[-1].strip() and not width:
                result.append("")
            width = len(item[0])
        elif line.strip() and not line.startswith(" " * (width or 1)) and (is_code or not result or not result[-1]):
            width = 0
        elif width and line.startswith(" " * width):
            line = " " * 4 + line[width:]
        result.append(line)
    return "\n".join(result)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """`text` with what is neither a code block nor inline code changed."""
    result: list[str] = []
    words: list[str] = []

    def flush() -> None:
        if words:
            result.append(_outside_inline("\n".join(words), change))
            words.clear()

    for line, is_code in _lines(text):
        if is_code or line.startswith("    "):
            flush()
            result.append(line)
        else:
            words.append(line)
    flush()
    return "\n".join(result)


def escaped(text: str) -> str:
    """Plain text with code in backticks, as Markdown that means just this."""
    return _outside_inline(text, lambda words: _SPECIAL.sub(lambda found: f"\\{found[0]}", words))


def indented(text: str) -> str:
    """`text` as what belongs to an admonition."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def section(text: str, heading: str, level: int = 2) -> str:
    """The section of a Markdown text below a heading, without it. LookupError if there is none."""
    mark = "#" * level
    found: list[str] | None = None
    for line, is_code in _lines(text):
        title = None if is_code else re.match(rf"#{{1,{level}}} +(.*)", line)
        if title and found is not None:
            break
        if title and line == f"{mark} {heading}":
            found = []
        elif found is not None:
            found.append(line)
    if found is None:
        raise LookupError(f"there is no section {mark} {heading}")
    return "\n".join(found).strip("\n")


def raised(text: str) -> str:
    """`text` with each heading a level higher."""
    lines = (line[1:] if not is_code and re.match(r"##+ ", line) else line for line, is_code in _lines(text))
    return "\n".join(lines)


def _outside_inline(text: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines, and whether they belong to a fenced block."""
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
            yield line, True
            continue
        yield line, bool(fence)
        if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
